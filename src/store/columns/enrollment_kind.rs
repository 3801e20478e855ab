//! What an enrollment token enrolls.

use std::str::FromStr;

use super::text::text_column;
use crate::base::{Error, Result};

/// What an enrollment token enrolls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnrollmentKind {
    Device,
    Gateway,
}

impl EnrollmentKind {
    pub const ALL: [Self; 2] = [Self::Device, Self::Gateway];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Gateway => "gateway",
        }
    }
}

impl FromStr for EnrollmentKind {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        let kind = Self::ALL.into_iter().find(|kind| kind.as_str() == word);
        kind.ok_or_else(|| Error::internal(format!("unknown kind of enrollment {word:?}")))
    }
}

text_column!(EnrollmentKind, EnrollmentKind::as_str);
