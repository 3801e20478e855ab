//! Renewal of the certificate of a device or gateway, with the current one.

use serde_json::json;
use time::Duration;
use uuid::Uuid;

use super::{
    Admission, Enrolled, GivenKey,
    certificate::{self, Certificate},
    redeem, rules,
};
use crate::{
    base::{
        Basis, Cx, EnrolledKind, Error, Result, SpiffeId, TenantRef, cx::CxFacts, error::Reason, public_key::PublicKey,
    },
    store::{Change, ChangeKind, Resource, Stamp, Store, Tx},
    tenants,
    trust::{Trust, require_issuer},
};

/// A new certificate for a device or gateway.
struct Renewal {
    tenant: TenantRef,
    /// The current credential, and how long after its end it is accepted.
    presented: Uuid,
    grace: Duration,
    kind: EnrolledKind,
    id: Uuid,
    key: PublicKey,
    certificate: Certificate,
}

/// Issues a new certificate for the device or gateway that calls, for the same key or another one. A credential that has expired will do for
/// the grace that authentication gave the caller, unless it was renewed before. Fails with the error of its
/// credential if that is not valid, and with INVALID_ARGUMENT for a key that others have enrolled.
pub async fn renew(cx: &Cx, store: &Store, trust: &Trust, key: GivenKey) -> Result<Admission> {
    let caller = cx.enrolled()?;
    let (kind, id, presented) = match caller.basis {
        Basis::Device { id, credential } => (EnrolledKind::Device, id, credential),
        Basis::Gateway { id, credential } => (EnrolledKind::Gateway, id, credential),
        Basis::Token | Basis::Account { .. } | Basis::ApiKey(_) => {
            return Err(Error::internal("not an enrolled caller"));
        }
    };
    let grace = caller.renewal_grace;
    let GivenKey::Csr(_) = &key else {
        return Err(Error::invalid(Reason::InvalidArgument, "public_key", "a renewal takes csr_pem"));
    };
    let key = rules::key(key, "")?;
    let own = caller.tenant.as_ref().ok_or_else(|| Error::internal("an enrolled caller has a tenant"))?;
    let tenant = TenantRef::Id(own.id);
    let scope = tenants::reach(cx, store, &tenant).await?;
    let now = store.clock().now();
    let name = SpiffeId { tenant: own.id, kind, id };
    let anchors = trust.latest_anchors(scope).await?;
    let audit_action = Some(match kind {
        EnrolledKind::Device => "device.renew",
        EnrolledKind::Gateway => "gateway.renew",
    });
    let cx = Cx::new(CxFacts { audit_action, ..CxFacts::clone(cx) });
    let thumbprint = key.thumbprint().to_owned();
    let replace_with_new = || async {
        let installation = trust.installation().await?;
        let authority = installation.authority(certificate::issuer(kind))?;
        let certificate = certificate::issue(authority, name, trust.domain(), &key, store.clock().new_id(), now)?;
        let (tenant, key) = (tenant.clone(), key.clone());
        let renewal = Renewal { tenant, presented, grace, kind, id, key, certificate: certificate.clone() };
        Ok((store.write(&cx, renewal, replace).await?, certificate))
    };
    let (enrolled, certificate) = trust.with_current_keys(replace_with_new).await?;
    Ok(Admission { tenant: own.id, enrolled, thumbprint, certificate, anchors, server_time: now })
}

async fn replace(tx: &Tx, renewal: &Renewal) -> Result<Enrolled> {
    let (_, scope) = tenants::resolve_locked(tx, &renewal.tenant).await?;
    let (rows, now) = (tx.tenant(scope), tx.now());
    let gone = || Error::unauthenticated(Reason::CredentialsRevoked, "the credentials have been revoked");
    let (enrolled, resource) = match renewal.kind {
        EnrolledKind::Device => {
            let row = rows.devices().get_locked(renewal.id).await?.ok_or_else(gone)?;
            (Enrolled::Device(row), Resource::Device)
        }
        EnrolledKind::Gateway => {
            let row = rows.gateways().get_locked(renewal.id).await?.ok_or_else(gone)?;
            (Enrolled::Gateway(row), Resource::Gateway)
        }
    };
    let credentials = rows.credentials();
    // It could be used before the locks; it may have been revoked since, or the device been enrolled again.
    let presented = credentials.usable(renewal.presented, now.into(), renewal.grace).await?;
    let presented = presented.filter(|_| enrolled.is_active()).ok_or_else(gone)?;
    if credentials.enrolled_after(&presented).await? {
        return Err(gone());
    }
    if !credentials.has_key(renewal.id, renewal.key.thumbprint()).await? {
        redeem::enroll_key(tx, &renewal.key, "csr_pem").await?;
    }
    require_issuer(tx, &renewal.certificate.issuer_key_id).await?;
    credentials.shorten(renewal.id, Stamp::from(now + certificate::OVERLAP)).await?;
    let of = certificate::Issued { scope, kind: renewal.kind, subject: renewal.id, token: None };
    credentials.insert(certificate::row(tx, of, &renewal.key, &renewal.certificate)).await?;
    let id = enrolled.shown_id();
    let change = Change::new(resource, ChangeKind::Updated, id.clone()).within(scope.tenant());
    let details = json!({"serial": renewal.certificate.serial, "key_thumbprint": renewal.key.thumbprint()});
    tx.changed(change, id, details);
    Ok(enrolled)
}
