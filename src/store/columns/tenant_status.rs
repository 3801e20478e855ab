//! The status of a tenant, and who suspended it.

use std::{fmt, str::FromStr};

use super::text::text_column;
use crate::base::{Caller, Error};

/// The stage of a tenant's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TenantStatus {
    /// Its resources are being created.
    Provisioning,
    Active,
    /// Its callers are refused until the suspension is lifted.
    Suspended,
    /// It is deleted, and its name and id stay taken until the grace period is over.
    Deprovisioning,
    /// It is deleted for good: no surface knows it, its name is free, and an operation removes its rows.
    Deleted,
}

impl TenantStatus {
    /// Every status of a tenant that exists. A deleted one exists only for the purge.
    pub const ALL: [TenantStatus; 4] = [Self::Provisioning, Self::Active, Self::Suspended, Self::Deprovisioning];

    /// The statuses in which surfaces show a tenant.
    pub const PRESENT: [TenantStatus; 3] = [Self::Provisioning, Self::Active, Self::Suspended];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deprovisioning => "deprovisioning",
            Self::Deleted => "deleted",
        }
    }

    /// Whether surfaces show the tenant at all (the zero-trust surface shows the others as deleted).
    pub fn is_present(self) -> bool {
        !matches!(self, Self::Deprovisioning | Self::Deleted)
    }

    /// Whether new logins, handshakes, leases, enrollments, token uses and admissions are allowed.
    pub fn admits(self) -> bool {
        matches!(self, Self::Provisioning | Self::Active)
    }
}

impl fmt::Display for TenantStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TenantStatus {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        let status = Self::ALL.into_iter().chain([Self::Deleted]).find(|status| status.as_str() == word);
        status.ok_or_else(|| Error::internal(format!("a tenant has the unknown status {word:?}")))
    }
}

/// Who suspended a tenant, or an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// A platform caller; nobody else lifts it.
    Platform,
    /// An administrator of the tenant.
    Tenant,
}

/// A suspension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspension {
    /// On whose authority.
    pub authority: Authority,
    /// The subject of who did it.
    pub subject: String,
}

impl Authority {
    /// The authority with which a caller acts.
    pub fn of(caller: &Caller) -> Self {
        if caller.is_platform() { Self::Platform } else { Self::Tenant }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Tenant => "tenant",
        }
    }

    /// Whether one who acts with this authority may lift what was set with the other.
    pub fn may_lift(self, set: Self) -> bool {
        self == Self::Platform || set == Self::Tenant
    }
}

impl fmt::Display for Suspension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.authority.as_str(), self.subject)
    }
}

impl FromStr for Authority {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        let authority = [Self::Platform, Self::Tenant].into_iter().find(|authority| authority.as_str() == word);
        authority.ok_or_else(|| Error::internal(format!("unknown authority of a suspension {word:?}")))
    }
}

impl FromStr for Suspension {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (authority, subject) = text.split_once(':').unwrap_or((text, ""));
        Ok(Self { authority: authority.parse()?, subject: subject.to_owned() })
    }
}

text_column!(TenantStatus, TenantStatus::as_str);
text_column!(Authority, Authority::as_str);
text_column!(Suspension, |suspension: Suspension| suspension.to_string());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lead_back_to_their_status() {
        for status in TenantStatus::ALL {
            assert_eq!(status.as_str().parse::<TenantStatus>().unwrap(), status);
            assert_eq!(TenantStatus::PRESENT.contains(&status), status.is_present());
        }
        assert_eq!("deleted".parse::<TenantStatus>().unwrap(), TenantStatus::Deleted);
        assert!("gone".parse::<TenantStatus>().is_err());
    }

    #[test]
    fn a_suspended_tenant_is_shown_and_not_admitted() {
        assert!(TenantStatus::Suspended.is_present() && !TenantStatus::Suspended.admits());
        for deleted in [TenantStatus::Deprovisioning, TenantStatus::Deleted] {
            assert!(!deleted.is_present() && !deleted.admits());
        }
    }
}
