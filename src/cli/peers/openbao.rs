//! Sets an OpenBAO up that was just started, so that only the server of this process can use it, with its own policy.

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use crate::{
    base::Secret,
    providers::egress::{Bounds, Egress, Policy},
};

/// The policy of the server, and its name.
const RIGHTS: &str = include_str!("../../../deploy/openbao/policy.hcl");
const POLICY: &str = "tenantry";
/// How long the token is valid after each renewal.
const PERIOD: &str = "768h";
/// How long OpenBAO may take to become active.
const ACTIVE: Duration = Duration::from_secs(30);

/// The API of an OpenBAO server.
pub(super) struct Api {
    http: Egress,
    base: String,
}

impl Api {
    pub fn at(base: String) -> anyhow::Result<Self> {
        let http = Egress::trusting_only(Policy::anywhere(), Bounds::default(), &[])?;
        Ok(Self { http, base })
    }

    /// The status of the health check, if the server responds.
    pub async fn health(&self) -> Option<u16> {
        self.send(Method::GET, "sys/health", "", &Value::Null).await.ok().map(|(status, _)| status)
    }

    /// Initializes and unseals the server, enables its database engine, and returns a token with the rights of the policy. The root
    /// token is revoked.
    pub async fn set_up(&self) -> anyhow::Result<Secret<String>> {
        let keys = self.call(Method::PUT, "sys/init", "", json!({"secret_shares": 1, "secret_threshold": 1})).await?;
        let root = text(&keys["root_token"])?;
        self.call(Method::PUT, "sys/unseal", "", json!({"key": text(&keys["keys_base64"][0])?})).await?;
        let until = Instant::now() + ACTIVE;
        while self.health().await != Some(200) {
            ensure!(Instant::now() < until, "OpenBAO did not become active");
            sleep(Duration::from_millis(20)).await;
        }
        self.call(Method::POST, "sys/mounts/database", root, json!({"type": "database"})).await?;
        self.call(Method::PUT, &format!("sys/policies/acl/{POLICY}"), root, json!({"policy": RIGHTS})).await?;
        let token = json!({
            "policies": [POLICY], "no_default_policy": true, "period": PERIOD, "no_parent": true, "display_name": POLICY,
        });
        let made = self.call(Method::POST, "auth/token/create", root, token).await?;
        self.call(Method::POST, "auth/token/revoke-self", root, json!({})).await?;
        Ok(Secret::new(text(&made["auth"]["client_token"])?.to_owned()))
    }

    /// A call that must succeed. Texts of the server are not shown: they may contain what was sent.
    async fn call(&self, method: Method, path: &str, token: &str, body: Value) -> anyhow::Result<Value> {
        let sent = self.send(method, path, token, &body).await;
        let (status, body) = sent.with_context(|| format!("cannot set OpenBAO up, at {path}"))?;
        if !(200..300).contains(&status) {
            bail!("cannot set OpenBAO up: status {status} of {path}");
        }
        Ok(body)
    }

    async fn send(&self, method: Method, path: &str, token: &str, body: &Value) -> anyhow::Result<(u16, Value)> {
        let mut request = Request::builder().method(method).uri(format!("{}/v1/{path}", self.base));
        if !token.is_empty() {
            request = request.header("x-vault-token", token);
        }
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let response = self.http.send(request.body(body)?).await?;
        let status = response.status().as_u16();
        Ok((status, serde_json::from_slice(response.body()).unwrap_or_default()))
    }
}

fn text(value: &Value) -> anyhow::Result<&str> {
    value.as_str().context("cannot set OpenBAO up: a response has another form")
}
