//! Where accounts and groups are managed.

use std::str::FromStr;

use super::text::text_column;
use crate::base::{Error, Result};

/// The system that manages an account or a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// This server.
    Local,
    Oidc,
    Saml,
    /// A directory, which manages names, addresses and members.
    Directory,
}

impl Source {
    pub const ALL: [Self; 4] = [Self::Local, Self::Oidc, Self::Saml, Self::Directory];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Oidc => "oidc",
            Self::Saml => "saml",
            Self::Directory => "directory",
        }
    }
}

impl FromStr for Source {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        let source = Self::ALL.into_iter().find(|source| source.as_str() == word);
        source.ok_or_else(|| Error::internal(format!("unknown source {word:?}")))
    }
}

text_column!(Source, Source::as_str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lead_back_to_their_source() {
        for source in Source::ALL {
            assert_eq!(source.as_str().parse::<Source>().unwrap(), source);
        }
        assert!("ldap".parse::<Source>().is_err());
    }
}
