//! Enrolled devices and gateways as clients, for tests of what gateways ask and report.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bundle_verify::AnchorSet;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use super::conversation::{
    Who::{self, Admin},
    http,
};
use crate::harness::{
    enroll::DpopKey,
    http::{Answer, Http},
    server::Server,
};

pub const GRANT: &str = "/v1/gateway/runtime/client-admission-grant";
pub const METERING: &str = "/v1/gateway/metering";
pub const SESSIONS: &str = "/v1/admin/sessions";

/// An enrolled device or gateway.
pub struct Enrolled {
    pub id: String,
    pub anchors: AnchorSet,
    pub key: DpopKey,
    token: String,
}

/// Calls with a body. The answer must be a success.
pub async fn act(server: &Server, who: Who, path: &str, body: Value) -> Value {
    let answer = post(&http(server, who).await, path, &body).await;
    assert!(answer.status < 300, "{path} {body}: {answer:?}");
    answer.json()
}

pub async fn post(http: &Http, path: &str, body: &Value) -> Answer {
    http.call(Method::POST, path, Some(&body.to_string())).await
}

/// Enrolls a device or a gateway of `acme` with a new token.
pub async fn enroll(server: &Server, kind: &str, token: Value) -> Enrolled {
    enroll_as(server, Admin, kind, token).await
}

/// The same in the tenant of an administrator.
pub async fn enroll_as(server: &Server, who: Who, kind: &str, token: Value) -> Enrolled {
    let token = act(server, who, "/v1/admin/tokens/generate", token).await["token"].as_str().unwrap().to_owned();
    let key = DpopKey::generate();
    let mut request = json!({"token": token, "public_key": key.jwk(), "proof": key.proof_of_token(&token, None)});
    request[kind] = json!({"name": "one"});
    if kind == "device" {
        request[kind]["platform"] = json!("linux");
    }
    let made = post(&server.http(), "/v1/enroll", &request).await;
    assert_eq!(made.status, 201, "{made:?}");
    let body = made.json();
    Enrolled {
        id: body[format!("{kind}_id")].as_str().unwrap().to_owned(),
        anchors: AnchorSet::first(body["trust_anchors"].to_string().as_bytes()).unwrap(),
        token: body["device_token"].as_str().unwrap().to_owned(),
        key,
    }
}

/// Creates a pool of `acme`, with a gateway in it.
pub async fn pool_and_gateway(server: &Server) -> (String, Enrolled) {
    pool_and_gateway_as(server, Admin).await
}

/// The same in the tenant of an administrator.
pub async fn pool_and_gateway_as(server: &Server, who: Who) -> (String, Enrolled) {
    let name = format!("pool {}", uuid::Uuid::new_v4().simple());
    let pool = act(server, who, "/v1/admin/settings/gateway-pools", json!({"action": "create", "name": name})).await;
    let pool = pool["pool"]["id"].as_str().unwrap().to_owned();
    let gateway = enroll_as(server, who, "gateway", json!({"kind": "gateway", "pool_id": pool})).await;
    (pool, gateway)
}

/// Publishes a policy for the tenant.
pub async fn publish(server: &Server, policy: Value) -> i64 {
    let body = json!({"channel": "stable", "policy": policy});
    act(server, Admin, "/v1/admin/policy/publish", body).await["version"].as_i64().unwrap()
}

/// The sessions of `acme` that a query selects.
pub async fn sessions(server: &Server, query: &str) -> Vec<Value> {
    let answer = http(server, Admin).await.get(&format!("{SESSIONS}?{query}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["sessions"].as_array().unwrap().clone()
}

impl Enrolled {
    /// The thumbprint of its key (RFC 7638).
    pub fn thumbprint(&self) -> String {
        let x = self.key.jwk()["x"].clone();
        let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":{x}}}"#);
        URL_SAFE_NO_PAD.encode(Sha256::digest(members))
    }

    /// A client whose next call, with this method and path, has a proof.
    pub fn http(&self, server: &Server, method: &str, path: &str) -> Http {
        let url = format!("{}{}", server.url(), path.split('?').next().unwrap());
        let proof = self.key.dpop(method, &url, &self.token);
        server.http().header("authorization", &format!("DPoP {}", self.token)).header("dpop", &proof)
    }

    pub async fn get(&self, server: &Server, path: &str) -> Answer {
        self.http(server, "GET", path).get(path).await
    }

    pub async fn post(&self, server: &Server, path: &str, body: &Value) -> Answer {
        post(&self.http(server, "POST", path), path, body).await
    }

    /// Asks, as a gateway, whether a device may start a session. `more` continues the query.
    pub async fn ask(&self, server: &Server, device: &Enrolled, more: &str) -> Value {
        let mode = if more.contains("auth_mode=") { "" } else { "&auth_mode=B" };
        let key = device.thumbprint();
        let answer = self.get(server, &format!("{GRANT}?device_id={}&client_key={key}{mode}{more}", device.id)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Starts a session of a device, and returns its id.
    pub async fn admit(&self, server: &Server, device: &Enrolled) -> String {
        let answer = self.ask(server, device, "").await;
        assert_eq!(answer["decision"], "allow", "{answer}");
        answer["session_id"].as_str().unwrap().to_owned()
    }

    /// Why a device may not start a session.
    pub async fn denied(&self, server: &Server, device: &Enrolled, more: &str) -> String {
        let answer = self.ask(server, device, more).await;
        assert_eq!((&answer["decision"], &answer["grant"]), (&json!("deny"), &Value::Null), "{answer}");
        answer["reason"].as_str().unwrap().to_owned()
    }

    /// Reports, as a gateway, the sessions of a window that ends now.
    pub async fn report(&self, server: &Server, id: &str, sequence: i64, sessions: Value) -> Value {
        let body = report(id, sequence, sessions);
        let answer = self.post(server, METERING, &body).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.json()
    }
}

/// A report of a window that ends now.
pub fn report(id: &str, sequence: i64, sessions: Value) -> Value {
    json!({"report_id": id, "window_start": ago(30), "window_end": ago(0), "sequence": sequence, "sessions": sessions,
        "totals": {"active_sessions": 1, "peak_sessions": 2, "cpu": 0.5, "mem": 0.25, "mbps": 12.5}})
}

/// A session in a report.
pub fn line(session: &str, device: &Enrolled, bytes_in: i64, bytes_out: i64) -> Value {
    json!({"session_id": session, "device_id": device.id, "bytes_in": bytes_in, "bytes_out": bytes_out,
        "started_at": ago(0)})
}

/// A time some seconds ago.
pub fn ago(seconds: i64) -> String {
    let at = OffsetDateTime::now_utc() - time::Duration::seconds(seconds);
    at.format(&time::format_description::well_known::Rfc3339).unwrap()
}
