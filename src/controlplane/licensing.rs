//! Whether this server keeps many tenants for others: what the configuration asks for and the license covers.

use crate::base::{Error, Kind, Result, error::Reason};

/// The feature of the license that the control-plane surface needs.
const FEATURE: &str = "multitenancy";
/// The word for every feature.
const ALL: &str = "all";

/// Where multi-tenancy stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Multitenancy {
    /// It is configured, and the license covers it.
    #[default]
    Enabled,
    /// It is configured, and the license does not cover it.
    Unlicensed,
    /// It is not configured.
    Disabled,
}

/// What the configuration says of multi-tenancy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MultitenancySettings {
    /// Where it stands.
    pub state: Multitenancy,
    /// Whether administrators may have databases made by this server.
    pub self_service: bool,
}

/// What whoever calls what the license does not cover is told.
pub const UNLICENSED: &str = "The control plane requires a license that covers the feature 'multitenancy'; the licensed \
                              features of this server do not include it.";

impl MultitenancySettings {
    /// The settings of a configuration: whether it is asked for, the features of the license, and whether databases may be
    /// made. Features are compared without regard to case.
    pub fn new(configured: bool, features: &[String], self_service: bool) -> Self {
        let state = match (configured, features.iter().any(|word| is_feature(word))) {
            (true, true) => Multitenancy::Enabled,
            (true, false) => Multitenancy::Unlicensed,
            (false, _) => Multitenancy::Disabled,
        };
        Self { state, self_service: self_service && configured }
    }
}

/// Whether a word of the license means something here, in whatever case.
pub fn is_feature(word: &str) -> bool {
    [ALL, FEATURE].iter().any(|known| word.eq_ignore_ascii_case(known))
}

impl Multitenancy {
    /// Whether there are tenants to choose between.
    pub fn is_enabled(self) -> bool {
        self == Self::Enabled
    }

    /// Fails, and says why, unless there are tenants to choose between.
    pub fn require(self) -> Result<()> {
        match self {
            Self::Enabled => Ok(()),
            Self::Unlicensed => Err(unlicensed()),
            Self::Disabled => Err(Error::precondition(Reason::MultitenancyDisabled, "Multi-tenancy is not enabled.")),
        }
    }
}

/// The license does not cover what was called.
pub fn unlicensed() -> Error {
    Error::new(Kind::Unimplemented, Reason::FeatureUnlicensed, UNLICENSED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(configured: bool, features: &[&str], self_service: bool) -> MultitenancySettings {
        let features: Vec<_> = features.iter().map(|word| (*word).to_owned()).collect();
        MultitenancySettings::new(configured, &features, self_service)
    }

    #[test]
    fn a_license_for_it_or_for_all_enables_what_is_configured() {
        for features in [&["all"][..], &["ALL"], &["reports", "Multitenancy"]] {
            assert_eq!(settings(true, features, false).state, Multitenancy::Enabled, "{features:?}");
            assert_eq!(settings(false, features, false).state, Multitenancy::Disabled, "{features:?}");
        }
        for features in [&[][..], &["none"], &["reports", "multi-tenancy"]] {
            assert_eq!(settings(true, features, false).state, Multitenancy::Unlicensed, "{features:?}");
        }
    }

    #[test]
    fn nobody_serves_himself_where_there_is_one_tenant() {
        assert!(settings(true, &["all"], true).self_service && !settings(false, &["all"], true).self_service);
    }

    #[test]
    fn the_license_is_named_as_the_reason() {
        assert!(Multitenancy::Unlicensed.require().unwrap_err().to_string().contains("licensed"));
        assert!(Multitenancy::Enabled.require().is_ok() && Multitenancy::Disabled.require().is_err());
    }
}
