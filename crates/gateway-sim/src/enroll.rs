//! The enrollment of a gateway: from a token to a certificate, a device token and the first trust anchors.

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bundle_verify::{AnchorSet, KeyUse};
use serde_json::json;
use tenantry_proto::zerotrust::v1::{
    EnrollGateway, EnrollRequest, SignedEnvelope, enrollment_service_client::EnrollmentServiceClient,
};
use tonic::{Request, Status, metadata::MetadataValue, transport::Channel};

use crate::{Clock, Identity, Key};

/// What an enrollment gives.
#[derive(Clone, Debug)]
pub struct Enrolled {
    /// The id of the gateway.
    pub id: String,
    /// Its key.
    pub key: Key,
    /// The credential for listeners where TLS does not end at the server.
    pub device_token: String,
    /// The credential for the listener that asks for certificates.
    pub identity: Identity,
    /// The first trust anchors.
    pub anchors: AnchorSet,
    /// The clock of the gateway.
    pub clock: Clock,
    /// By how many seconds that of the server was ahead of it.
    pub server_ahead: i64,
}

impl Enrolled {
    /// The authorities of the listener that asks for certificates, in DER.
    pub fn server_authorities(&self) -> Vec<Vec<u8>> {
        let of_server = self.anchors.anchors.iter().filter(|anchor| anchor.key_use == KeyUse::ServerCa);
        of_server.filter_map(|anchor| anchor.certificate.clone()).collect()
    }

    /// Sends the device token with a proof, for a method of the server at a URL, that this gateway has its key.
    pub fn prove<T>(&self, call: &mut Request<T>, url: &str, method: &str) -> Result<(), Status> {
        let token = &self.device_token;
        let at = self.clock.unix().saturating_add(self.server_ahead);
        let proof = self.key.dpop_at("POST", &format!("{url}{method}"), token, at);
        let value = |text: String| {
            MetadataValue::try_from(text).map_err(|_| Status::internal("a credential is not a header value"))
        };
        call.metadata_mut().insert("authorization", value(format!("DPoP {token}"))?);
        call.metadata_mut().insert("dpop", value(proof)?);
        Ok(())
    }
}

/// Enrolls a gateway with a token.
pub async fn enroll(channel: Channel, token: &str, name: &str, clock: Clock) -> Result<Enrolled> {
    let key = Key::generate();
    let gateway = EnrollGateway {
        name: Some(name.to_owned()),
        region: "simulated".to_owned(),
        endpoints: vec!["127.0.0.1:51820".to_owned()],
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let request = EnrollRequest {
        token: Some(token.to_owned()),
        gateway: Some(gateway),
        csr_pem: Some(key.signing_request()?),
        ..EnrollRequest::default()
    };
    let answer = EnrollmentServiceClient::new(channel).enroll(request).await.context("cannot enroll")?.into_inner();
    let credential = answer.credential.context("the response has no certificate")?;
    let anchors = answer.trust_anchors.context("the response has no trust anchors")?;
    let anchors = AnchorSet::first(json_of(&anchors).as_bytes())
        .map_err(|refusal| anyhow::anyhow!("the first trust anchors are refused: {}", refusal.code()))?;
    let server_time = answer.server_time.context("the response has no server_time")?.seconds;
    Ok(Enrolled {
        server_ahead: server_time - clock.unix(),
        clock,
        id: answer.gateway_id.context("the response has no gateway_id")?,
        device_token: answer.device_token,
        identity: Identity { chain_pem: credential.certificate_pem + &credential.chain_pem, key: key.pkcs8()? },
        key,
        anchors,
    })
}

/// The JSON of an envelope, as REST returns it.
pub fn json_of(envelope: &SignedEnvelope) -> String {
    let signatures = envelope.signatures.iter();
    let signatures: Vec<_> =
        signatures.map(|signed| json!({"keyid": signed.keyid, "sig": STANDARD.encode(&signed.sig)})).collect();
    json!({
        "payloadType": envelope.payload_type,
        "payload": STANDARD.encode(&envelope.payload),
        "signatures": signatures,
    })
    .to_string()
}
