//! Enrollment of devices and gateways with a token (zero-trust contract, section 5.1).

mod again;
mod certificate;
mod redeem;
mod renew;
mod rules;

use time::OffsetDateTime;
use uuid::Uuid;

use super::{as_token::as_token, throttle::Throttle};
use crate::{
    base::{
        Cx, EnrolledKind, Error, Kind, Result, Secret, SpiffeId, TenantId, TenantRef, error::Reason, opaque,
        public_key::PublicKey,
    },
    store::{
        Store,
        columns::{DeviceStatus, GatewayStatus},
        tables::{DeviceRow, GatewayRow},
    },
    tenants,
    trust::{AnchorSet, Trust},
};

pub use certificate::Certificate;
pub use renew::renew;

/// A request to enroll.
#[derive(Clone, Debug)]
pub struct Enrollment {
    pub token: Secret<String>,
    pub subject: Subject,
    pub key: GivenKey,
}

/// What a client says of itself. Nothing of it is verified.
#[derive(Clone, Debug)]
pub enum Subject {
    Device {
        name: String,
        platform: String,
        os_version: String,
        client_version: String,
        hardware_id_hash: Option<String>,
    },
    Gateway {
        name: String,
        region: String,
        endpoints: Vec<String>,
        version: String,
    },
}

/// The key of a client, with a proof that it has the private one.
#[derive(Clone, Debug)]
pub enum GivenKey {
    /// A signing request in PEM.
    Csr(String),
    Jwk {
        /// In JSON.
        key: String,
        proof: String,
        nonce: Option<String>,
    },
}

/// What was enrolled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enrolled {
    Device(DeviceRow),
    Gateway(GatewayRow),
}

/// The result of an enrollment.
#[derive(Clone, Debug)]
pub struct Admission {
    pub tenant: TenantId,
    pub enrolled: Enrolled,
    /// The thumbprint of the key (RFC 7638).
    pub thumbprint: String,
    pub certificate: Certificate,
    pub anchors: AnchorSet,
    pub server_time: OffsetDateTime,
}

impl GivenKey {
    /// The field of the request with the key.
    fn field(&self) -> &'static str {
        match self {
            Self::Csr(_) => "csr_pem",
            Self::Jwk { .. } => "public_key",
        }
    }
}

impl Enrolled {
    pub fn kind(&self) -> EnrolledKind {
        match self {
            Self::Device(_) => EnrolledKind::Device,
            Self::Gateway(_) => EnrolledKind::Gateway,
        }
    }

    pub fn id(&self) -> Uuid {
        match self {
            Self::Device(device) => device.id,
            Self::Gateway(gateway) => gateway.id,
        }
    }

    /// Whether it may call.
    fn is_active(&self) -> bool {
        match self {
            Self::Device(device) => device.status == DeviceStatus::Active,
            Self::Gateway(gateway) => gateway.status == GatewayStatus::Active,
        }
    }

    pub fn shown_id(&self) -> String {
        self.kind().id_kind().show(self.id())
    }
}

/// Enrolls a device or a gateway. Fails with INVALID_ARGUMENT for what the client sent, whatever the token is; with UNAUTHENTICATED
/// and one text for every token that cannot be used; with FAILED_PRECONDITION if a limit of the tenant is reached; with
/// RESOURCE_EXHAUSTED as the throttle does.
pub async fn enroll(
    cx: &Cx,
    store: &Store,
    trust: &Trust,
    throttle: &Throttle,
    request: Enrollment,
) -> Result<Admission> {
    // First, so that it takes the same time for every token.
    let subject = rules::subject(request.subject)?;
    let key_field = request.key.field();
    let key = rules::key(request.key, request.token.expose())?;
    let digest = opaque::digest(request.token.expose());
    throttle.attempt(cx, || use_token(cx, store, trust, &digest, (subject, key, key_field))).await
}

/// Enrolls what has a token with this digest.
async fn use_token(
    cx: &Cx,
    store: &Store,
    trust: &Trust,
    digest: &str,
    (subject, key, key_field): (rules::Subject, PublicKey, &'static str),
) -> Result<Admission> {
    let token = redeem::active(store, digest, subject.kind()).await?.ok_or_else(invalid_token)?;
    let reference = TenantRef::Id(token.tenant_id.tenant());
    let cx = as_token(cx, &token);
    let (tenant, scope) = found(tenants::resolve(&cx, store, &reference).await)?;
    if !tenant.status.admits() {
        return Err(invalid_token());
    }
    let anchors = trust.latest_anchors(scope).await?;
    let (kind, now) = (subject.kind(), store.clock().now());
    let id = token.device_id.unwrap_or_else(|| store.clock().new_id());
    let name = SpiffeId { tenant: scope.tenant(), kind, id };
    let thumbprint = key.thumbprint().to_owned();
    let admit = || async {
        let installation = trust.installation().await?;
        let authority = installation.authority(certificate::issuer(kind))?;
        let certificate = certificate::issue(authority, name, trust.domain(), &key, store.clock().new_id(), now)?;
        let (subject, key) = (subject.clone(), key.clone());
        let redeemed =
            redeem::Redeemed { token: token.id, scope, id, subject, key, key_field, certificate: certificate.clone() };
        let enrolled = store.write(&cx, redeemed, redeem::redeem).await?;
        Ok((enrolled, certificate))
    };
    let (enrolled, certificate) = trust.with_current_keys(admit).await?;
    Ok(Admission { tenant: scope.tenant(), enrolled, thumbprint, certificate, anchors, server_time: now })
}

/// A token of a tenant that was deleted cannot be used.
fn found<T>(tenant: Result<T>) -> Result<T> {
    tenant.map_err(|error| if error.kind == Kind::NotFound { invalid_token() } else { error })
}

/// The error for every token that cannot be used.
fn invalid_token() -> Error {
    Error::unauthenticated(Reason::EnrollmentTokenInvalid, "the enrollment token is not valid")
}
