//! The paths for operators and their tools: probes, version, metrics, public keys, and the OpenAPI documents with their
//! page. They need no credential and belong to no surface.

use std::sync::Arc;

use axum::body::Body;
use http::{
    HeaderValue, Method, Response, StatusCode, Uri,
    header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE},
    request::Parts,
};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Value, json};

use super::{docs, job_status, process, readiness::Readiness};
use crate::{auth::authn::keys::Keys, jobs::StatusBoard, openbao::OpenBao};

const PATHS: [&str; 7] = ["/healthz", "/readyz", "/health", "/ready", "/version", "/metrics", "/.well-known/jwks.json"];

/// Responds on operational paths. Cheap to clone.
#[derive(Clone)]
pub struct Ops {
    readiness: Readiness,
    keys: Arc<Keys>,
    metrics: PrometheusHandle,
    jobs: StatusBoard,
    openbao: Option<OpenBao>,
}

/// The template of an operational path.
pub fn template(path: &str) -> Option<&'static str> {
    PATHS.into_iter().find(|known| *known == path).or_else(|| docs::template(path))
}

pub fn is_ops(path: &str) -> bool {
    template(path).is_some()
}

impl Ops {
    pub fn new(readiness: Readiness, keys: Arc<Keys>, metrics: PrometheusHandle, jobs: StatusBoard) -> Self {
        Self { readiness, keys, metrics, jobs, openbao: None }
    }

    /// Also reports the health of OpenBAO. It does not make the server unready: most calls do not need it.
    pub fn with_openbao(self, openbao: Option<OpenBao>) -> Self {
        Self { openbao, ..self }
    }

    /// Responds on an operational path.
    pub async fn answer(&self, request: &Parts) -> Response<Body> {
        let (method, path) = (&request.method, request.uri.path());
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut response = json(StatusCode::METHOD_NOT_ALLOWED, &json!({"error": "method not allowed"}));
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let response = match (path, docs::answer(path, &request.headers)) {
            (_, Some(document)) => document,
            ("/healthz", _) => json(StatusCode::OK, &json!({"status": "ok"})),
            ("/readyz", _) => self.ready(is_verbose(&request.uri)).await,
            ("/health", _) => json(StatusCode::OK, &warehouse_health()),
            ("/ready", _) => self.warehouse_ready().await,
            ("/version", _) => json(StatusCode::OK, &version()),
            ("/metrics", _) => self.metrics(),
            _ => json(StatusCode::OK, &self.keys.jwks()),
        };
        if method == Method::HEAD { without_body(response) } else { response }
    }

    async fn ready(&self, verbose: bool) -> Response<Body> {
        let failing = self.readiness.failing().await;
        let (status, mut body) = match failing.is_empty() {
            true => (StatusCode::OK, json!({"status": "ready"})),
            false => (StatusCode::SERVICE_UNAVAILABLE, json!({"status": "not_ready", "failing": failing})),
        };
        if verbose {
            body["jobs"] = job_status::to_json(&self.jobs);
            if let Some(openbao) = &self.openbao {
                body["openbao"] = openbao.health().word().into();
            }
        }
        json(status, &body)
    }

    /// Readiness in the format of the warehouse's document (warehouse contract, decisions).
    async fn warehouse_ready(&self) -> Response<Body> {
        let failing = self.readiness.failing().await;
        if failing.is_empty() {
            return json(StatusCode::OK, &json!({"status": "ready"}));
        }
        let message = format!("the server is not ready: {}", failing.join(", "));
        json(StatusCode::SERVICE_UNAVAILABLE, &json!({"error": "not_ready", "message": message}))
    }

    fn metrics(&self) -> Response<Body> {
        let mut text = self.metrics.render();
        process::render(&mut text);
        let mut response = Response::new(Body::from(text));
        let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }
}

/// Whether the query has the parameter `verbose`, with any value.
fn is_verbose(uri: &Uri) -> bool {
    uri.query().unwrap_or_default().split('&').any(|part| part.split('=').next() == Some("verbose"))
}

/// The health check of the warehouse's clients: whether the process runs. No surface creates pools or nodes yet.
fn warehouse_health() -> Value {
    json!({"status": "ok", "poolsCount": 0, "nodesCount": 0})
}

/// The version; the build script adds the commit and the date, if it knows them.
pub fn version() -> Value {
    json!({
        "service": env!("CARGO_PKG_NAME"),
        "version": env!("CARGO_PKG_VERSION"),
        "gitCommit": option_env!("BUILD_COMMIT").unwrap_or("unknown"),
        "buildDate": option_env!("BUILD_DATE").unwrap_or("unknown"),
    })
}

fn json(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The response to HEAD: everything except the body. Its length stays.
pub(super) fn without_body(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = http_body::Body::size_hint(&body).exact() {
        parts.headers.insert(CONTENT_LENGTH, length.into());
    }
    Response::from_parts(parts, Body::empty())
}
