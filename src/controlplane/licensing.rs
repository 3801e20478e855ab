//! Whether multi-tenancy is configured and licensed.

use crate::base::{Error, Kind, Result, error::Reason};

/// The licensed feature for the control-plane surface.
const FEATURE: &str = "multitenancy";
/// The name that stands for every feature.
const ALL: &str = "all";

/// The known features.
pub const FEATURES: [&str; 2] = [ALL, FEATURE];

/// The state of multi-tenancy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Multitenancy {
    /// Configured and licensed.
    #[default]
    Enabled,
    /// Configured but not licensed.
    Unlicensed,
    /// Not configured.
    Disabled,
}

/// The settings of multi-tenancy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MultitenancySettings {
    pub state: Multitenancy,
    /// Whether administrators may have this server create databases.
    pub self_service: bool,
}

/// The message for calls that the license does not include.
pub const UNLICENSED: &str = "The control plane requires a license that covers the feature 'multitenancy'; the licensed \
                              features of this server do not include it.";

impl MultitenancySettings {
    /// Whether multi-tenancy is configured, the licensed features, and whether databases may be created. Features are
    /// case-insensitive.
    pub fn new(configured: bool, features: &[String], self_service: bool) -> Self {
        let state = match (configured, features.iter().any(|word| is_feature(word))) {
            (true, true) => Multitenancy::Enabled,
            (true, false) => Multitenancy::Unlicensed,
            (false, _) => Multitenancy::Disabled,
        };
        Self { state, self_service: self_service && configured }
    }

    /// Fails unless administrators may have this server create databases.
    pub fn require_self_service(self) -> Result<()> {
        match self.self_service {
            true => Ok(()),
            false => {
                let message = "Self-service provisioning is disabled on this server.";
                Err(Error::denied(Reason::SelfServiceDisabled, message))
            }
        }
    }
}

/// Whether a feature of the license is known here, ignoring case.
pub fn is_feature(word: &str) -> bool {
    FEATURES.iter().any(|known| word.eq_ignore_ascii_case(known))
}

impl Multitenancy {
    /// Whether there can be several tenants.
    pub fn is_enabled(self) -> bool {
        self == Self::Enabled
    }

    /// Fails with the cause unless multi-tenancy is enabled.
    pub fn require(self) -> Result<()> {
        match self {
            Self::Enabled => Ok(()),
            Self::Unlicensed => Err(unlicensed()),
            Self::Disabled => Err(Error::precondition(Reason::MultitenancyDisabled, "Multi-tenancy is not enabled.")),
        }
    }
}

/// The error for calls that the license does not include.
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
    fn a_license_for_multitenancy_or_all_enables_it() {
        for features in [&["all"][..], &["ALL"], &["reports", "Multitenancy"]] {
            assert_eq!(settings(true, features, false).state, Multitenancy::Enabled, "{features:?}");
            assert_eq!(settings(false, features, false).state, Multitenancy::Disabled, "{features:?}");
        }
        for features in [&[][..], &["none"], &["reports", "multi-tenancy"]] {
            assert_eq!(settings(true, features, false).state, Multitenancy::Unlicensed, "{features:?}");
        }
    }

    #[test]
    fn self_service_requires_multitenancy() {
        assert!(settings(true, &["all"], true).self_service && !settings(false, &["all"], true).self_service);
    }

    #[test]
    fn the_license_is_named_as_the_reason() {
        assert!(Multitenancy::Unlicensed.require().unwrap_err().to_string().contains("licensed"));
        assert!(Multitenancy::Enabled.require().is_ok() && Multitenancy::Disabled.require().is_err());
    }
}
