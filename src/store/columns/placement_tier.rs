//! Whether a tenant has a database of its own.

use std::str::FromStr;

use super::text::text_column;
use crate::base::{Error, Result};

/// Whether a tenant has a database of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlacementTier {
    /// Its own.
    #[default]
    Silo,
    /// One that it shares with others.
    Pool,
}

impl PlacementTier {
    pub const ALL: [Self; 2] = [Self::Silo, Self::Pool];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Silo => "silo",
            Self::Pool => "pool",
        }
    }
}

impl FromStr for PlacementTier {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        let tier = Self::ALL.into_iter().find(|tier| tier.as_str() == word);
        tier.ok_or_else(|| Error::internal(format!("unknown tier {word:?}")))
    }
}

text_column!(PlacementTier, PlacementTier::as_str);
