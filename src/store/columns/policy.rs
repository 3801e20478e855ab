//! The channel, scope, state and canary of a version of a policy.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::text::text_column;
use crate::base::{Error, Result};

/// Declares an enumeration that is stored as a word.
macro_rules! word_column {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$of])* $variant,)*
        }

        impl $name {
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(word: &str) -> Result<Self> {
                let found = Self::ALL.iter().copied().find(|known| known.as_str() == word);
                found.ok_or_else(|| Error::internal(format!("unknown {} {word:?}", stringify!($name))))
            }
        }

        text_column!($name, $name::as_str);
    };
}

word_column! {
    /// Who gets a version.
    PolicyChannel {
        /// All devices of its scope.
        Stable = "stable",
        /// Those that its canary selects.
        Canary = "canary",
    }
}

word_column! {
    /// The kind of a scope.
    PolicyScopeKind {
        /// Every tenant.
        Global = "global",
        Tenant = "tenant",
        Group = "group",
        Device = "device",
    }
}

word_column! {
    /// Whether a version is the current one of its scope and channel.
    PolicyState {
        Active = "active",
        /// A newer version of its scope replaced it.
        Superseded = "superseded",
        /// A canary whose content was published to stable.
        Promoted = "promoted",
        /// A canary that too many of its devices or gateways refused.
        Withdrawn = "withdrawn",
        /// A canary whose time is over.
        Expired = "expired",
    }
}

/// What a device or a gateway reported about a canary that its policy comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanaryVerdict {
    pub policy: Uuid,
    pub refused: bool,
}

/// The devices that get a canary: those in the percentage and those that are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyCanary {
    /// 1 to 100.
    pub percent: Option<u32>,
    pub group_ids: Vec<Uuid>,
    pub device_ids: Vec<Uuid>,
}
