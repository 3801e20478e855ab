//! Which keys and certificates end soon (zero-trust contract, section 4.13).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use time::{Duration, OffsetDateTime};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use super::Trust;
use crate::{
    base::{Cx, Error, IdKind, Result, TenantRef, TenantScope, error::Reason, scope::platform_only},
    store::{
        columns::{KeyState, KeyUse},
        tables::{CredentialRow, SignerRow, installation_keys},
    },
    tenants,
};

/// How many days ahead a caller may look, and by default.
const MOST_DAYS: i32 = 3650;
const USUAL_DAYS: i32 = 30;
/// How many days before its end a key needs a person.
const WARNING: Duration = Duration::days(30);
const CRITICAL: Duration = Duration::days(7);
/// The remaining part of its life at which a certificate that is renewed automatically should have been.
const LATE: i32 = 4;
const VERY_LATE: i32 = 10;
/// Maximum number of gateways whose certificates are read at once.
const AT_ONCE: usize = 500;

/// A key or a certificate with its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiring {
    pub kind: ExpiringKind,
    pub subject: String,
    /// The serial number of a certificate, or the id of a key without one.
    pub serial: String,
    pub not_before: OffsetDateTime,
    pub not_after: OffsetDateTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExpiringKind {
    DeviceCa,
    GatewayCa,
    /// The authority of the certificates of the server.
    Tls,
    /// A root that signs trust anchors.
    Anchor,
    /// A signer of the tenant.
    Signer,
    /// The certificate of a gateway.
    Gateway,
}

/// How urgent an end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    Ok,
    Warning,
    Critical,
    Expired,
}

impl ExpiringKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DeviceCa => "device_ca",
            Self::GatewayCa => "gateway_ca",
            Self::Tls => "tls",
            Self::Anchor => "anchor",
            Self::Signer => "signer",
            Self::Gateway => "gateway",
        }
    }

    /// Whether its owner renews it without a person.
    pub fn is_automatic(self) -> bool {
        self == Self::Gateway
    }
}

impl Expiry {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Expired => "expired",
        }
    }
}

impl Expiring {
    /// How many whole days are left; none after its end.
    pub fn days_left(&self, now: OffsetDateTime) -> i64 {
        (self.not_after - now).whole_days().max(0)
    }

    /// How urgent its end is. What is renewed automatically may be valid for a day, and is urgent only if that is late.
    pub fn expiry(&self, now: OffsetDateTime) -> Expiry {
        let (left, life) = (self.not_after - now, self.not_after - self.not_before);
        let (warning, critical) = match self.kind.is_automatic() {
            true => (life / LATE, life / VERY_LATE),
            false => (WARNING, CRITICAL),
        };
        match left {
            left if left <= Duration::ZERO => Expiry::Expired,
            left if left <= critical => Expiry::Critical,
            left if left <= warning => Expiry::Warning,
            _ => Expiry::Ok,
        }
    }
}

impl Trust {
    /// What ends within a number of days, 30 by default, or has ended, soonest first: keys of the installation, and those and the gateways
    /// of a tenant if there is one. What is out of use is left out. Fails with INVALID_ARGUMENT for an invalid number.
    pub async fn expiring(
        &self,
        cx: &Cx,
        tenant: Option<&TenantRef>,
        within_days: Option<i32>,
    ) -> Result<Vec<Expiring>> {
        let days = within_days.unwrap_or(USUAL_DAYS);
        if !(1..=MOST_DAYS).contains(&days) {
            let message = format!("within_days must be a number from 1 to {MOST_DAYS}");
            return Err(Error::invalid(Reason::InvalidArgument, "within_days", message));
        }
        let mut found = Vec::new();
        match tenant {
            Some(tenant) => {
                let scope = tenants::reach(cx, &self.store, tenant).await?;
                found.extend(self.store.tenant(scope).signers().all().await?.iter().filter_map(signer));
                found.extend(self.gateways(scope).await?);
            }
            None => platform_only(&cx.access)?,
        }
        for row in installation_keys::all(self.store.read()).await? {
            found.extend(self.key(&row)?);
        }
        let end = self.store.clock().now() + Duration::days(i64::from(days));
        found.retain(|one| one.not_after <= end);
        found.sort_by(|one, other| {
            (one.not_after, one.kind, &one.serial).cmp(&(other.not_after, other.kind, &other.serial))
        });
        Ok(found)
    }

    fn key(&self, row: &installation_keys::Model) -> Result<Option<Expiring>> {
        let kind = match row.key_use {
            KeyUse::DeviceCa => ExpiringKind::DeviceCa,
            KeyUse::GatewayCa => ExpiringKind::GatewayCa,
            KeyUse::ServerCa => ExpiringKind::Tls,
            KeyUse::Root => ExpiringKind::Anchor,
            KeyUse::PolicySigning | KeyUse::SpcSigning | KeyUse::AdmissionSigning => ExpiringKind::Signer,
        };
        if !is_trusted(row.state) {
            return Ok(None);
        }
        let serial = row.certificate.as_deref().map(serial).transpose()?.unwrap_or_else(|| row.key_id.clone());
        let subject = format!("{} {}", self.domain().as_str(), row.key_use.as_str());
        let (not_before, not_after) = (row.not_before.time(), row.not_after.time());
        Ok(Some(Expiring { kind, subject, serial, not_before, not_after }))
    }

    async fn gateways(&self, scope: TenantScope) -> Result<Vec<Expiring>> {
        let rows = self.store.tenant(scope);
        let ids = rows.gateways().present_ids().await?;
        let mut found = Vec::with_capacity(ids.len());
        for some in ids.chunks(AT_ONCE) {
            let credentials = rows.gateways().credentials(some).await?;
            found.extend(credentials.into_values().filter(|row| row.revoked_at.is_none()).map(gateway));
        }
        Ok(found)
    }
}

fn signer(row: &SignerRow) -> Option<Expiring> {
    is_trusted(row.state).then(|| Expiring {
        kind: ExpiringKind::Signer,
        subject: format!("{} {}", IdKind::Signer.show(row.id), row.key_use.as_str()),
        serial: row.key_id.clone(),
        not_before: row.not_before.time(),
        not_after: row.not_after.time(),
    })
}

fn gateway(row: CredentialRow) -> Expiring {
    Expiring {
        kind: ExpiringKind::Gateway,
        subject: IdKind::Gateway.show(row.subject_id),
        serial: row.id.simple().to_string(),
        not_before: row.not_before.time(),
        not_after: row.not_after.time(),
    }
}

fn is_trusted(state: KeyState) -> bool {
    matches!(state, KeyState::Pending | KeyState::Active | KeyState::Retiring)
}

/// The serial number of a certificate (DER in base64), in hex.
fn serial(certificate: &str) -> Result<String> {
    let der = STANDARD.decode(certificate).map_err(Error::internal)?;
    let (_, read) = X509Certificate::from_der(&der).map_err(Error::internal)?;
    Ok(read.tbs_certificate.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-05 10:00 UTC);

    fn ending(kind: ExpiringKind, left: Duration, life: Duration) -> Expiring {
        let not_after = NOW + left;
        Expiring { kind, subject: String::new(), serial: String::new(), not_before: not_after - life, not_after }
    }

    #[test]
    fn a_key_is_urgent_days_before_its_end_and_a_certificate_when_its_renewal_is_late() {
        let key = |left| ending(ExpiringKind::DeviceCa, left, Duration::days(3650)).expiry(NOW);
        assert_eq!(key(Duration::days(31)), Expiry::Ok);
        assert_eq!(key(Duration::days(30)), Expiry::Warning);
        assert_eq!(key(Duration::days(7)), Expiry::Critical);
        assert_eq!(key(Duration::ZERO), Expiry::Expired);
        let certificate = |left| ending(ExpiringKind::Gateway, left, Duration::hours(24)).expiry(NOW);
        assert_eq!(certificate(Duration::hours(8)), Expiry::Ok);
        assert_eq!(certificate(Duration::hours(6)), Expiry::Warning);
        assert_eq!(certificate(Duration::hours(2)), Expiry::Critical);
        assert_eq!(certificate(-Duration::hours(2)), Expiry::Expired);
        assert_eq!(ending(ExpiringKind::Gateway, -Duration::days(2), Duration::days(1)).days_left(NOW), 0);
    }
}
