//! `EnrollmentService`: devices and gateways exchange a token for a certificate.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{
    api::{
        Deps, handlers::zerotrust::v1::enrollment_service::EnrollmentService, structs::from_struct, timestamp,
        zerotrust::artifacts::envelope,
    },
    auth::authn::{device_tokens, enrolled::Presented},
    base::{Cx, Error, IdKind, Result, Secret, error::Reason},
    enrollment::{
        enroll::{self, Admission, Certificate, Enrolled, Enrollment, GivenKey, Subject},
        throttle::Throttle,
    },
    proto::zerotrust::v1::{EnrollRequest, EnrollResponse, EnrolledCredential},
};

/// Where an enrolled device finds its policy and the gateways.
const POLICY: &str = "/v1/policy/bundle";
const POOLS: &str = "/v1/gateway/pools";
/// Length of a line of PEM (RFC 7468).
const LINE: usize = 64;

pub struct Enrollments {
    pub(super) deps: Deps,
    pub(super) throttle: Throttle,
}

impl EnrollmentService for Enrollments {
    async fn enroll(&self, cx: &Cx, mut message: EnrollRequest) -> Result<EnrollResponse> {
        let (store, trust) = (&self.deps.store, &self.deps.trust);
        let admitted = if message.renew {
            enroll::renew(cx, store, trust, renewal_key(message)?).await?
        } else {
            let token = Secret::new(message.token.take().ok_or_else(|| Error::missing_field("token"))?);
            let request = Enrollment { token, subject: subject(&mut message)?, key: key(message)? };
            enroll::enroll(cx, store, trust, &self.throttle, request).await?
        };
        let device_token = self.device_token(&admitted)?;
        let at = |path: &str| self.deps.settings.public_url.as_ref().map(|url| url.at(path));
        let (mut response, id) = (EnrollResponse::default(), admitted.enrolled.shown_id());
        match admitted.enrolled {
            Enrolled::Device(device) => {
                response.device_id = Some(id);
                response.status = device.status.as_str().to_owned();
                response.policy_url = at(POLICY);
            }
            Enrolled::Gateway(gateway) => {
                response.gateway_id = Some(id);
                response.pool_id = Some(IdKind::GatewayPool.show(gateway.pool_id));
                response.status = gateway.status.as_str().to_owned();
            }
        }
        response.device_token = device_token;
        response.gateway_pools_url = at(POOLS);
        response.credential = Some(credential(&admitted.certificate));
        response.trust_anchors = Some(envelope(&admitted.anchors.envelope)?);
        response.server_time = Some(timestamp(admitted.server_time));
        Ok(response)
    }
}

impl Enrollments {
    /// A token that is bound to the enrolled key.
    fn device_token(&self, admitted: &Admission) -> Result<String> {
        let presented = Presented {
            tenant: admitted.tenant,
            kind: admitted.enrolled.kind(),
            id: admitted.enrolled.id(),
            credential: admitted.certificate.serial,
            thumbprint: admitted.thumbprint.clone(),
            ends: admitted.certificate.not_after,
        };
        device_tokens::issue(&self.deps.keys, &presented, self.deps.store.clock())
    }
}

/// The key of a renewal, which has no other members.
fn renewal_key(message: EnrollRequest) -> Result<GivenKey> {
    let EnrollRequest { token, device, gateway, csr_pem, public_key, proof, nonce, renew: _ } = message;
    let given = [
        ("token", token.is_some()),
        ("device", device.is_some()),
        ("gateway", gateway.is_some()),
        ("public_key", public_key.is_some()),
        ("proof", proof.is_some()),
        ("nonce", nonce.is_some()),
    ];
    if let Some((field, _)) = given.into_iter().find(|(_, is_given)| *is_given) {
        return Err(Error::invalid(Reason::InvalidArgument, field, "a renewal takes only csr_pem"));
    }
    csr_pem.map(GivenKey::Csr).ok_or_else(|| Error::missing_field("csr_pem"))
}

fn subject(message: &mut EnrollRequest) -> Result<Subject> {
    match (message.device.take(), message.gateway.take()) {
        (Some(device), None) => Ok(Subject::Device {
            name: device.name.unwrap_or_default(),
            platform: device.platform.unwrap_or_default(),
            os_version: device.os_version,
            client_version: device.client_version,
            hardware_id_hash: device.hardware_id_hash,
        }),
        (None, Some(gateway)) => Ok(Subject::Gateway {
            name: gateway.name.unwrap_or_default(),
            region: gateway.region,
            endpoints: gateway.endpoints,
            version: gateway.version,
        }),
        (None, None) => Err(Error::missing_field("device")),
        (Some(_), Some(_)) => {
            Err(Error::invalid(Reason::InvalidArgument, "gateway", "send either device or gateway, not both"))
        }
    }
}

fn key(message: EnrollRequest) -> Result<GivenKey> {
    match (message.csr_pem, message.public_key) {
        (Some(pem), None) => match message.proof {
            None => Ok(GivenKey::Csr(pem)),
            Some(_) => Err(Error::invalid(Reason::InvalidArgument, "proof", "a signing request needs no proof")),
        },
        (None, Some(key)) => {
            let proof = message.proof.ok_or_else(|| Error::missing_field("proof"))?;
            Ok(GivenKey::Jwk { key: Value::Object(from_struct(key)).to_string(), proof, nonce: message.nonce })
        }
        (None, None) => Err(Error::missing_field("csr_pem")),
        (Some(_), Some(_)) => {
            Err(Error::invalid(Reason::InvalidArgument, "public_key", "send either csr_pem or public_key, not both"))
        }
    }
}

fn credential(certificate: &Certificate) -> EnrolledCredential {
    EnrolledCredential {
        kind: "x509".to_owned(),
        certificate_pem: pem(&certificate.der),
        chain_pem: pem(&certificate.chain),
        not_before: Some(timestamp(certificate.not_before)),
        not_after: Some(timestamp(certificate.not_after)),
        renew_after: Some(timestamp(certificate.renew_after)),
    }
}

/// A certificate in PEM.
fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(LINE).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}
