//! The status of a tenant.

use std::{fmt, str::FromStr};

use crate::base::Error;

/// The stage of a tenant's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Its resources are being created.
    Provisioning,
    Active,
    /// Its callers are refused until the suspension is lifted.
    Suspended,
    /// It is deleted, and its name and id stay taken until the grace period is over.
    Deprovisioning,
}

impl Status {
    pub const ALL: [Status; 4] = [Self::Provisioning, Self::Active, Self::Suspended, Self::Deprovisioning];

    /// The statuses in which surfaces show a tenant.
    pub const PRESENT: [Status; 3] = [Self::Provisioning, Self::Active, Self::Suspended];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deprovisioning => "deprovisioning",
        }
    }

    /// Whether surfaces show the tenant at all (the zero-trust surface shows the others as deleted).
    pub fn is_present(self) -> bool {
        self != Self::Deprovisioning
    }

    /// Whether new logins, handshakes, leases, enrollments, token uses and admissions are allowed.
    pub fn admits(self) -> bool {
        matches!(self, Self::Provisioning | Self::Active)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        let status = Self::ALL.into_iter().find(|status| status.as_str() == word);
        status.ok_or_else(|| Error::internal(format!("a tenant has the unknown status {word:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lead_back_to_their_status() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse::<Status>().unwrap(), status);
            assert_eq!(Status::PRESENT.contains(&status), status.is_present());
        }
        assert!("deleted".parse::<Status>().is_err());
    }

    #[test]
    fn a_suspended_tenant_is_shown_and_not_admitted() {
        assert!(Status::Suspended.is_present() && !Status::Suspended.admits());
        assert!(!Status::Deprovisioning.is_present() && !Status::Deprovisioning.admits());
    }
}
