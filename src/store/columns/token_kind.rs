//! A column with what an enrollment token enrolls.

use std::str::FromStr;

use super::text::text_column;
use crate::base::EnrolledKind;

/// What an enrollment token enrolls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// Devices or gateways, on the zero-trust surface.
    Enrolled(EnrolledKind),
    /// Hosts, on the control-plane surface.
    Host,
}

impl TokenKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enrolled(kind) => kind.as_str(),
            Self::Host => "host",
        }
    }

    /// The kind of what it enrolls on the zero-trust surface; none for hosts.
    pub fn enrolled(self) -> Option<EnrolledKind> {
        match self {
            Self::Enrolled(kind) => Some(kind),
            Self::Host => None,
        }
    }
}

impl From<EnrolledKind> for TokenKind {
    fn from(kind: EnrolledKind) -> Self {
        Self::Enrolled(kind)
    }
}

impl FromStr for TokenKind {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        if word == Self::Host.as_str() { Ok(Self::Host) } else { word.parse().map(Self::Enrolled) }
    }
}

text_column!(TokenKind, TokenKind::as_str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_as_it_is_stored() {
        for kind in EnrolledKind::ALL.map(TokenKind::Enrolled).into_iter().chain([TokenKind::Host]) {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        assert_eq!("agent".parse::<TokenKind>(), Err(()));
    }
}
