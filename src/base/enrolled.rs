//! Devices and gateways as subjects: their kinds, and their SPIFFE ids in certificates.

use std::{fmt, str::FromStr};

use uuid::Uuid;

use super::{
    caller::{Basis, CallerKind},
    ids::{IdKind, TenantId},
};

/// What can be enrolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EnrolledKind {
    Device,
    Gateway,
}

impl EnrolledKind {
    pub const ALL: [EnrolledKind; 2] = [Self::Device, Self::Gateway];

    /// The word in subjects, in SPIFFE ids and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Gateway => "gateway",
        }
    }

    pub fn caller_kind(self) -> CallerKind {
        match self {
            Self::Device => CallerKind::Device,
            Self::Gateway => CallerKind::Gateway,
        }
    }

    pub fn id_kind(self) -> IdKind {
        match self {
            Self::Device => IdKind::Device,
            Self::Gateway => IdKind::Gateway,
        }
    }

    /// What the authorization of a caller of this kind depends on.
    pub fn basis(self, id: Uuid, credential: Uuid) -> Basis {
        match self {
            Self::Device => Basis::Device { id, credential },
            Self::Gateway => Basis::Gateway { id, credential },
        }
    }

    /// The subject of callers, in tokens and in the audit log: `device:dev_..` or `gateway:gw_..`.
    pub fn subject(self, id: Uuid) -> String {
        format!("{}:{}", self.as_str(), self.id_kind().show(id))
    }

    /// Reads a subject as [`subject`](Self::subject) writes it.
    pub fn of_subject(text: &str) -> Option<(Self, Uuid)> {
        let (word, id) = text.split_once(':')?;
        let kind = word.parse::<Self>().ok()?;
        let id = kind.id_kind().read(id)?;
        (kind.subject(id) == text).then_some((kind, id))
    }
}

impl FromStr for EnrolledKind {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word).ok_or(())
    }
}

/// The trust domain of SPIFFE ids: `TENANTRY_TRUST_DOMAIN`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustDomain(String);

/// The text is not a trust domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a trust domain")]
pub struct NotATrustDomain;

impl TrustDomain {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TrustDomain {
    fn default() -> Self {
        Self("tenantry.local".to_owned())
    }
}

impl FromStr for TrustDomain {
    type Err = NotATrustDomain;

    /// Lower-case letters, digits, dots, dashes and underscores, at most 255 (SPIFFE-ID, 2.1).
    fn from_str(text: &str) -> Result<Self, NotATrustDomain> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
        let is_domain = (1..=255).contains(&text.len()) && text.bytes().all(fits);
        is_domain.then(|| Self(text.to_owned())).ok_or(NotATrustDomain)
    }
}

/// The subject of a certificate: `spiffe://<domain>/tenant/ten_../device/dev_..`, or `/gateway/gw_..` in place of the
/// device (zero-trust contract, decisions).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpiffeId {
    pub tenant: TenantId,
    pub kind: EnrolledKind,
    pub id: Uuid,
}

impl SpiffeId {
    /// The URI in a trust domain.
    pub fn uri(&self, domain: &TrustDomain) -> String {
        format!("spiffe://{}{self}", domain.as_str())
    }

    /// Reads a URI as [`uri`](Self::uri) writes it: its trust domain, and the id.
    pub fn read(uri: &str) -> Option<(TrustDomain, Self)> {
        let rest = uri.strip_prefix("spiffe://")?;
        let (domain, path) = rest.split_at(rest.find('/')?);
        let mut segments = path.split('/').skip(1);
        let ("tenant", tenant, kind, id) = (segments.next()?, segments.next()?, segments.next()?, segments.next()?)
        else {
            return None;
        };
        let kind = EnrolledKind::ALL.into_iter().find(|known| known.as_str() == kind)?;
        let found = Self { tenant: tenant.parse().ok()?, kind, id: kind.id_kind().read(id)? };
        let domain = domain.parse().ok()?;
        // Ids have other spellings, which certificates do not use.
        (found.uri(&domain) == uri).then_some((domain, found))
    }
}

impl fmt::Display for SpiffeId {
    /// The path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tenant, id) = (self.tenant.zero_trust(), self.kind.id_kind().show(self.id));
        write!(f, "/tenant/{tenant}/{}/{id}", self.kind.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(kind: EnrolledKind) -> SpiffeId {
        SpiffeId { tenant: TenantId::from_uuid(Uuid::from_u128(7)), kind, id: Uuid::from_u128(8) }
    }

    #[test]
    fn ids_are_read_only_as_they_are_written() {
        let domain = TrustDomain::default();
        for kind in EnrolledKind::ALL {
            assert_eq!(SpiffeId::read(&id(kind).uri(&domain)), Some((domain.clone(), id(kind))));
        }
        let good = id(EnrolledKind::Device).uri(&domain);
        assert_eq!(
            good,
            "spiffe://tenantry.local/tenant/ten_00000000000000000000000007/device/dev_00000000000000000000000008"
        );
        for bad in [
            String::new(),
            good.to_uppercase(),
            good.replace("dev_", "DEV_"),
            good.replace("dev_", "gw_"),
            good.replace("/device/", "/gateway/"),
            good.replace("/tenant/", "/tenants/"),
            good.replace("tenantry.local", ""),
            good.replace("tenantry.local", "a:1"),
            good.replace("ten_00000000000000000000000007", "00000000-0000-0000-0000-000000000007"),
            format!("{good}/"),
            format!("{good}?a"),
            good.replace("//tenantry", "/tenantry"),
        ] {
            assert_eq!(SpiffeId::read(&bad), None, "{bad}");
        }
    }

    #[test]
    fn subjects_are_read_only_as_they_are_written() {
        for kind in EnrolledKind::ALL {
            assert_eq!(EnrolledKind::of_subject(&kind.subject(Uuid::from_u128(8))), Some((kind, Uuid::from_u128(8))));
        }
        let device = EnrolledKind::Device.subject(Uuid::from_u128(8));
        for bad in ["", "device", "device:", &device.replace("device:", "gateway:"), &device.replace("dev_", "DEV_")] {
            assert_eq!(EnrolledKind::of_subject(bad), None, "{bad}");
        }
    }

    #[test]
    fn trust_domains_are_names_in_lower_case() {
        for good in ["tenantry.local", "a", "a-b_c.9"] {
            assert_eq!(good.parse::<TrustDomain>().map(|domain| domain.0), Ok(good.to_owned()));
        }
        for bad in ["", "A", "a/b", "a:1", "spiffe://a", "\u{e9}", &"a".repeat(256)] {
            assert_eq!(bad.parse::<TrustDomain>(), Err(NotATrustDomain), "{bad}");
        }
    }
}
