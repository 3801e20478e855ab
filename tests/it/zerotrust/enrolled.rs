//! Devices and gateways with real credentials, which verify every signature.

use bundle_verify::{AnchorSet, Kind, Shelf};
use reqwest::Method;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::conversation::{Who::Admin, http};
use crate::harness::{
    enroll::DpopKey,
    http::{Answer, Http},
    server::Server,
};

pub const BUNDLE: &str = "/v1/policy/bundle";
pub const ENROLL: &str = "/v1/enroll";

/// An enrolled device or gateway, which verifies what it gets as such a program must.
#[derive(Clone)]
pub struct Enrolled {
    pub id: String,
    pub key: DpopKey,
    pub token: String,
    pub anchors: AnchorSet,
    pub shelf: Shelf,
}

pub async fn post(http: &Http, path: &str, body: Value) -> Answer {
    http.call(Method::POST, path, Some(&body.to_string())).await
}

/// A successful call of an administrator.
pub async fn admin(server: &Server, path: &str, body: Value) -> Value {
    let answer = post(&http(server, Admin).await, path, body).await;
    assert!(answer.status < 300, "{answer:?}");
    answer.json()
}

/// Enrolls a device or a gateway with a new token of these members.
pub async fn enroll(server: &Server, token: Value, kind: &str) -> Enrolled {
    let token = admin(server, "/v1/admin/tokens/generate", token).await["token"].as_str().unwrap().to_owned();
    enroll_with(server, &token, kind).await
}

/// Enrolls a device or a gateway with a token.
pub async fn enroll_with(server: &Server, token: &str, kind: &str) -> Enrolled {
    let key = DpopKey::generate();
    let mut request = json!({"token": token, "public_key": key.jwk(), "proof": key.proof_of_token(token, None)});
    request[kind] = json!({"name": "one"});
    if kind == "device" {
        request[kind]["platform"] = json!("linux");
    }
    let made = post(&server.http(), ENROLL, request).await;
    assert_eq!(made.status, 201, "{made:?}");
    let body = made.json();
    Enrolled {
        id: body[format!("{kind}_id")].as_str().unwrap().to_owned(),
        key,
        token: body["device_token"].as_str().unwrap().to_owned(),
        anchors: AnchorSet::first(body["trust_anchors"].to_string().as_bytes()).unwrap(),
        shelf: Shelf::default(),
    }
}

impl Enrolled {
    /// A client whose next call, with this method and path, has a proof.
    pub fn http(&self, server: &Server, method: &str, path: &str) -> Http {
        let url = format!("{}{}", server.url(), path.split('?').next().unwrap());
        let proof = self.key.dpop(method, &url, &self.token);
        server.http().header("authorization", &format!("DPoP {}", self.token)).header("dpop", &proof)
    }

    pub async fn get(&self, server: &Server, path: &str) -> Answer {
        self.http(server, "GET", path).get(path).await
    }

    /// Posts a body.
    pub async fn post(&self, server: &Server, path: &str, body: Value) -> Answer {
        post(&self.http(server, "POST", path), path, body).await
    }

    /// Gets the policy, and accepts it as its own: returns its version and the payload.
    pub async fn accept(&mut self, server: &Server) -> (i64, Value) {
        let answer = self.get(server, BUNDLE).await;
        let payload = self.verify(Kind::Policy, &answer);
        (payload["version"].as_i64().unwrap(), payload)
    }

    /// Accepts a signed artifact in place of the one before, and returns its payload.
    pub fn verify(&mut self, kind: Kind, answer: &Answer) -> Value {
        assert_eq!(answer.status, 200, "{answer:?}");
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let accepted = self.shelf.accept(&self.anchors, kind, answer.body.as_bytes(), now).unwrap();
        assert_eq!(answer.header("etag"), Some(format!("\"{}\"", accepted.digest).as_str()));
        serde_json::from_slice(&accepted.payload).unwrap()
    }
}
