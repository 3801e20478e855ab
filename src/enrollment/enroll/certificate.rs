//! Certificates of devices and gateways.

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{
    base::{IdKind, Result, TenantId, public_key::PublicKey},
    store::columns::EnrollmentKind,
    trust::{Authority, Holder},
};

/// Validity of a certificate.
const LIFE: Duration = Duration::hours(24);
/// Certificates begin earlier, for servers and clients with slow clocks.
const BACKDATED: Duration = Duration::minutes(15);

/// A certificate that was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The serial number.
    pub serial: Uuid,
    /// DER.
    pub der: Vec<u8>,
    /// The certificate of the authority: DER.
    pub chain: Vec<u8>,
    /// The id of the authority's key.
    pub issuer_key_id: String,
    pub not_before: OffsetDateTime,
    pub not_after: OffsetDateTime,
    /// When to renew it: at two thirds of its life.
    pub renew_after: OffsetDateTime,
}

/// The name in a certificate.
pub(super) struct Name<'n> {
    pub(super) domain: &'n str,
    pub(super) tenant: TenantId,
    pub(super) kind: EnrollmentKind,
    pub(super) id: Uuid,
}

impl Name<'_> {
    fn shown_id(&self) -> String {
        match self.kind {
            EnrollmentKind::Device => IdKind::Device.show(self.id),
            EnrollmentKind::Gateway => IdKind::Gateway.show(self.id),
        }
    }

    /// The SPIFFE id (zero-trust contract, decisions).
    fn spiffe_id(&self) -> String {
        let (tenant, kind, id) = (self.tenant.zero_trust(), self.kind.as_str(), self.shown_id());
        format!("spiffe://{}/tenant/{tenant}/{kind}/{id}", self.domain)
    }
}

/// Issues a certificate for a key.
pub(super) fn issue(
    authority: &Authority,
    name: &Name<'_>,
    key: &PublicKey,
    serial: Uuid,
    now: OffsetDateTime,
) -> Result<Certificate> {
    // Whole seconds, as in the certificate.
    let now = now.replace_nanosecond(0).unwrap_or(now);
    let (not_before, not_after) = (now - BACKDATED, now + LIFE);
    let (common_name, spiffe_id) = (name.shown_id(), name.spiffe_id());
    let holder = Holder {
        public_key: key.spki(),
        common_name: &common_name,
        spiffe_id: &spiffe_id,
        serial,
        not_before,
        not_after,
    };
    Ok(Certificate {
        serial,
        der: authority.certify(&holder)?,
        chain: authority.certificate().to_vec(),
        issuer_key_id: authority.key_id().to_owned(),
        not_before,
        not_after,
        renew_after: now + LIFE * 2 / 3,
    })
}
