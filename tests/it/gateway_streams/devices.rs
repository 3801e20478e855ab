//! Devices that gateways admit.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tenantry_gateway_sim::Enrolled;

use super::{TENANT, admin, watches::of_gateway};
use crate::harness::{enroll::DpopKey, server::Server};

const GRANT: &str = "/v1/gateway/runtime/client-admission-grant";

/// An enrolled device.
pub(super) struct Device {
    pub id: String,
    /// The thumbprint of its key (RFC 7638).
    pub key: String,
}

impl Device {
    pub async fn enroll(server: &Server) -> Self {
        let token = admin(server, "/v1/admin/tokens/generate", json!({"tenant_id": TENANT})).await;
        let (token, key) = (token["token"].as_str().unwrap(), DpopKey::generate());
        let request = json!({"token": token, "public_key": key.jwk(), "proof": key.proof_of_token(token, None),
            "device": {"name": "laptop", "platform": "linux"}});
        let enrolled = server.http().call(Method::POST, "/v1/enroll", Some(&request.to_string())).await;
        assert_eq!(enrolled.status, 201, "{enrolled:?}");
        let x = key.jwk()["x"].as_str().unwrap().to_owned();
        let key = URL_SAFE_NO_PAD.encode(Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)));
        Self { id: enrolled.json()["device_id"].as_str().unwrap().to_owned(), key }
    }

    /// What a gateway gets that asks for a session of the device.
    pub async fn asked_for(&self, server: &Server, gateway: &Enrolled) -> Value {
        let Self { id, key } = self;
        let path = format!("{GRANT}?device_id={id}&client_key={key}&auth_mode=B");
        let answer = of_gateway(server, gateway, GRANT).get(&path).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }
}
