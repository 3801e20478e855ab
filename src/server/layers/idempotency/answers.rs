//! Answers as they are kept under a key: sealed, because they may hold secrets.

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

/// The header of an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Largest answer that is kept, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// How long it is tried to keep an answer. The call took effect, and without its answer nobody could be told.
const PERSISTENCE: Duration = Duration::from_secs(10);
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// Keeps answers and gives them again.
pub(super) struct Answers {
    store: Store,
    sealer: Sealer,
}

/// An answer as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    status: u16,
    headers: Vec<(String, String)>,
    /// In base64; none if it was too large.
    body: Option<String>,
}

impl Answers {
    pub(super) fn new(store: Store, sealer: Sealer) -> Self {
        Self { store, sealer }
    }

    /// Fails if answers for this caller cannot be sealed.
    pub(super) async fn check(&self, keyed: &Keyed) -> Result<()> {
        self.sealer.seal(keyed.tenant, &purpose(keyed), b"").await.map(drop)
    }

    /// Keeps the answer of a call; tries again for a while if the database is away. One that cannot be kept is an answer
    /// all the same.
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

    /// A kept answer, given again.
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

/// What an answer is sealed for: it opens under its own key alone.
fn purpose(keyed: &Keyed) -> String {
    format!("idempotent-answer:{}", keyed.call.id())
}

fn too_large() -> Error {
    let text = "the request with this Idempotency-Key succeeded, but its response was too large to be stored";
    Error::new(Kind::Aborted, Reason::IdempotentAnswerLost, text)
}
