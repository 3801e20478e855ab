//! Certificates of devices and gateways.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{
    base::{EnrolledKind, Result, SpiffeId, TenantScope, TrustDomain, public_key::PublicKey},
    store::{
        Tx,
        columns::KeyUse,
        tables::{CREDENTIAL_OVERLAP, CredentialRow},
    },
    trust::{Authority, CERTIFICATE_LIFE, Holder},
};

/// Validity of a certificate.
const LIFE: Duration = CERTIFICATE_LIFE;
/// How long the certificate before stays valid, for a device that did not receive the new one.
pub(super) const OVERLAP: Duration = CREDENTIAL_OVERLAP;
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

/// Issues a certificate for a key.
pub(super) fn issue(
    authority: &Authority,
    name: SpiffeId,
    domain: &TrustDomain,
    key: &PublicKey,
    serial: Uuid,
    now: OffsetDateTime,
) -> Result<Certificate> {
    // Whole seconds, as in the certificate.
    let now = now.replace_nanosecond(0).unwrap_or(now);
    let (not_before, not_after) = (now - BACKDATED, now + LIFE);
    let (common_name, spiffe_id) = (name.kind.id_kind().show(name.id), name.uri(domain));
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

/// The use of the authority that certifies a kind.
pub(super) fn issuer(kind: EnrolledKind) -> KeyUse {
    match kind {
        EnrolledKind::Device => KeyUse::DeviceCa,
        EnrolledKind::Gateway => KeyUse::GatewayCa,
    }
}

/// What a certificate was issued for.
#[derive(Clone, Copy)]
pub(super) struct Issued {
    pub(super) scope: TenantScope,
    pub(super) kind: EnrolledKind,
    /// The device or gateway.
    pub(super) subject: Uuid,
    /// The token, unless it is a renewal.
    pub(super) token: Option<Uuid>,
}

/// The row of a new credential.
pub(super) fn row(tx: &Tx, of: Issued, key: &PublicKey, certificate: &Certificate) -> CredentialRow {
    CredentialRow {
        tenant_id: of.scope.into(),
        id: certificate.serial,
        kind: of.kind,
        subject_id: of.subject,
        thumbprint: key.thumbprint().to_owned(),
        public_key: STANDARD.encode(key.spki()),
        issuer_key_id: certificate.issuer_key_id.clone(),
        token_id: of.token,
        ip: tx.cx().client.map(|address| address.to_string()),
        not_before: certificate.not_before.into(),
        not_after: certificate.not_after.into(),
        created_at: tx.now().into(),
        revoked_at: None,
    }
}
