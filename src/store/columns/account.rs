//! The states of accounts.

use std::str::FromStr;

use super::text::text_column;
use crate::base::{Error, Result};

/// The status of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountStatus {
    /// Created without a password.
    Invited,
    /// May log in.
    Active,
    /// May not log in until the suspension is lifted.
    Suspended,
    /// Deleted; the row is kept for references to it.
    Deleted,
}

impl AccountStatus {
    pub const ALL: [Self; 4] = [Self::Invited, Self::Active, Self::Suspended, Self::Deleted];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }
    }
}

impl FromStr for AccountStatus {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word).ok_or_else(|| unknown("status", word))
    }
}

/// The state of the second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TotpState {
    None,
    /// Enrollment has started but is not confirmed.
    Pending,
    /// Logins require a code.
    Enabled,
}

impl TotpState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pending => "pending",
            Self::Enabled => "enabled",
        }
    }
}

impl FromStr for TotpState {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        let states = [Self::None, Self::Pending, Self::Enabled];
        states.into_iter().find(|state| state.as_str() == word).ok_or_else(|| unknown("second factor", word))
    }
}

fn unknown(what: &str, word: &str) -> Error {
    Error::internal(format!("an account has the unknown {what} {word:?}"))
}

text_column!(AccountStatus, AccountStatus::as_str);
text_column!(TotpState, TotpState::as_str);
