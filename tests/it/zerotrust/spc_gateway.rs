//! A gateway that admits devices by their security policy certificates, with the library that gateways use, and a tenant with everything
//! that certificates need.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bundle_verify::{
    Kind, Refusal, Shelf,
    spc::{Connection, Spc, verify},
};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use super::{
    conversation::{Who::Admin, http, serve},
    enrolled::{Enrolled, admin, enroll},
};
use crate::{
    db::TestDb,
    harness::{enroll::DpopKey, http::Answer, server::Server},
};

pub const ISSUE: &str = "/v1/spc/issue";
pub const BUNDLE: &str = "/v1/spc/bundle";
pub const REVOKE: &str = "/v1/spc/revoke";
pub const VALIDATE: &str = "/v1/spc/validate";
pub const RUNTIME: &str = "/v1/gateway/runtime/spc-bundle";
pub const PUBLISH: &str = "/v1/admin/policy/publish";
pub const LIFECYCLE: &str = "/v1/admin/devices/lifecycle";

/// A tenant with a gateway pool, a gateway in it, a policy, and a device of `ada`.
pub struct World {
    pub server: Server,
    pub pool: String,
    /// The digest of the policy.
    pub digest: String,
    pub gateway: Enrolled,
    pub device: Enrolled,
}

impl World {
    pub async fn new(db: &TestDb) -> Self {
        let server = serve(db).await;
        let pool = pool(&server, json!({"name": "eu"})).await;
        let policy = json!({"channel": "stable", "policy": {"tunnel_mode": "split"}});
        let published = admin(&server, PUBLISH, policy).await;
        let gateway = enroll(&server, json!({"kind": "gateway", "pool_id": pool}), "gateway").await;
        let device = enroll(&server, json!({"user_id": "ada"}), "device").await;
        Self { pool, digest: text(&published["digest"]), gateway, device, server }
    }

    /// Issues a certificate to the device, by itself.
    pub async fn issue(&self, request: Value) -> Answer {
        let http = self.device.http(&self.server, "POST", ISSUE);
        http.call(Method::POST, ISSUE, Some(&request.to_string())).await
    }

    /// A certificate of the device.
    pub async fn issued(&self, request: Value) -> Value {
        let answer = self.issue(request).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()
    }

    /// The gateway gets the bundle, and accepts it. Returns the payload.
    pub async fn refresh(&mut self) -> Value {
        let answer = self.gateway.get(&self.server, RUNTIME).await;
        let (payload, digest) = accept(&self.gateway, &answer, &mut self.gateway.shelf.clone());
        self.gateway.shelf.accept(&self.gateway.anchors, Kind::SpcBundle, answer.body.as_bytes(), now()).unwrap();
        assert_eq!(answer.header("etag"), Some(format!("\"{digest}\"").as_str()));
        payload
    }

    /// Whether the gateway admits a device with this key and certificate.
    pub fn admits(&self, key: &DpopKey, spc: &Value) -> Result<Spc, Refusal> {
        let audience = format!("pool:{}", self.pool);
        self.connects(&audience, &thumbprint(key), &self.digest, spc)
    }

    pub fn connects(&self, audience: &str, key: &str, policy: &str, spc: &Value) -> Result<Spc, Refusal> {
        let connection = Connection { audience, proven_key: key, policies: &[policy] };
        verify(&self.gateway.anchors, &self.gateway.shelf, spc["spc"].as_str().unwrap(), &connection, now())
    }

    /// The verdict about a certificate, for the administrator.
    pub async fn verdict(&self, spc: &Value) -> String {
        let header = http(&self.server, Admin).await.header("x-spc", spc["spc"].as_str().unwrap());
        let answer = header.get(VALIDATE).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let found = answer.json();
        assert_eq!(found["valid"], found["reason"] == "ok", "{found}");
        text(&found["reason"])
    }

    /// Revokes something, and returns the number and the sequence.
    pub async fn revoke(&self, request: Value) -> (i64, i64) {
        let done = admin(&self.server, REVOKE, request).await;
        (done["revoked"].as_i64().unwrap(), done["sequence"].as_i64().unwrap())
    }
}

/// Checks a bundle as its consumers do. Returns the payload and its digest.
pub fn accept(consumer: &Enrolled, answer: &Answer, shelf: &mut Shelf) -> (Value, String) {
    assert_eq!(answer.status, 200, "{answer:?}");
    let accepted = shelf.accept(&consumer.anchors, Kind::SpcBundle, answer.body.as_bytes(), now()).unwrap();
    (serde_json::from_slice(&accepted.payload).unwrap(), accepted.digest.clone())
}

/// Creates a gateway pool, and returns its id.
pub async fn pool(server: &Server, mut members: Value) -> String {
    members["action"] = "create".into();
    text(&admin(server, "/v1/admin/settings/gateway-pools", members).await["pool"]["id"])
}

pub fn of_device(id: &str) -> Value {
    json!({"type": "device", "id": id})
}

/// The thumbprint of a key (RFC 7638).
pub fn thumbprint(key: &DpopKey) -> String {
    let x = key.jwk()["x"].as_str().unwrap().to_owned();
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)))
}

pub fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}
