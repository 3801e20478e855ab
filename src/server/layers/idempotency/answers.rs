//! The stored responses of keys: sealed, because they may contain secrets.

use std::time::Duration;

use axum::body::Body;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, response::Parts};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::request::Keyed;
use crate::{
    base::{Error, Kind, Result, error::Reason},
    store::{Sealer, Store, idempotent},
};

/// The header of a repeated response.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Maximum size of a stored response, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// How long to retry storing a response. The call took effect, and without the response no repetition can be answered.
const PERSISTENCE: Duration = Duration::from_secs(10);
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// Stores responses and repeats them.
pub(super) struct Answers {
    store: Store,
    sealer: Sealer,
}

/// A stored response.
#[derive(Serialize, Deserialize)]
struct Kept {
    status: u16,
    headers: Vec<(String, String)>,
    /// In base64; `None` if it was too large.
    body: Option<String>,
}

impl Answers {
    pub(super) fn new(store: Store, sealer: Sealer) -> Self {
        Self { store, sealer }
    }

    /// Fails if responses for this caller cannot be sealed.
    pub(super) async fn check(&self, keyed: &Keyed) -> Result<()> {
        self.sealer.seal(keyed.tenant, &purpose(keyed), b"").await.map(drop)
    }

    /// Stores the response of a call; retries for a while if the database is not available. If it cannot be stored, the
    /// caller still gets it.
    pub(super) async fn keep(&self, keyed: &Keyed, parts: &Parts, body: &Bytes) {
        let end = Instant::now() + PERSISTENCE;
        while let Err(error) = self.try_keep(keyed, parts, body).await {
            if error.kind != Kind::Unavailable || Instant::now() >= end {
                let cause = error.cause.as_deref();
                tracing::error!(%error, cause, "cannot store the response of a call with an idempotency key");
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn try_keep(&self, keyed: &Keyed, parts: &Parts, body: &Bytes) -> Result<()> {
        let text =
            |(name, value): (&HeaderName, &HeaderValue)| Some((name.to_string(), value.to_str().ok()?.to_owned()));
        let kept = Kept {
            status: parts.status.as_u16(),
            headers: parts.headers.iter().filter_map(text).collect(),
            body: (body.len() <= MAX_ANSWER).then(|| STANDARD_NO_PAD.encode(body)),
        };
        let kept = serde_json::to_vec(&kept).map_err(Error::internal)?;
        let sealed = self.sealer.seal(keyed.tenant, &purpose(keyed), &kept).await?;
        idempotent::keep(&self.store, &keyed.call, sealed).await
    }

    /// Repeats a stored response.
    pub(super) async fn replay(&self, keyed: &Keyed, sealed: &str) -> Result<Response<Body>> {
        let kept = self.sealer.open(keyed.tenant, &purpose(keyed), sealed).await?;
        let kept: Kept = serde_json::from_slice(kept.expose()).map_err(Error::internal)?;
        let body = kept.body.ok_or_else(too_large)?;
        let mut response = Response::new(Body::from(STANDARD_NO_PAD.decode(body).map_err(Error::internal)?));
        *response.status_mut() = StatusCode::from_u16(kept.status).map_err(Error::internal)?;
        for (name, value) in kept.headers {
            let name = HeaderName::try_from(name).map_err(Error::internal)?;
            response.headers_mut().append(name, HeaderValue::try_from(value).map_err(Error::internal)?);
        }
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        Ok(response)
    }
}

/// The purpose of a sealed response: it can be opened only for its own key.
fn purpose(keyed: &Keyed) -> String {
    format!("idempotent-answer:{}", keyed.call.id())
}

fn too_large() -> Error {
    let text = "the request with this Idempotency-Key succeeded, but its response was too large to be stored";
    Error::new(Kind::Aborted, Reason::IdempotentAnswerLost, text)
}
