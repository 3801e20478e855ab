//! Stored responses: messages and statuses, so that they are the same over gRPC and REST. They are sealed, because they may
//! contain secrets.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tonic::{
    Code, Response, Status,
    metadata::{AsciiMetadataValue, MetadataMap},
};
use transcoder::once::Encoded;

use super::IdentifiedCall;
use crate::{
    base::{Error, Kind, Result, error::Reason},
    store::{Sealer, Store, idempotent},
};

/// Metadata and header of a replayed response.
const REPLAYED: &str = "idempotent-replayed";
/// The largest response that is stored, in bytes.
const MAX_RESPONSE: usize = 1 << 20;

/// How long storing a response is tried again. The call took effect; without its response, retries get an error.
const SAVE_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause between two attempts.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// Stores responses and replays them.
pub(super) struct ResponseStore {
    store: Store,
    sealer: Sealer,
}

/// A response as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct StoredResponse {
    /// The code of gRPC.
    code: i32,
    /// The text of a failure.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    text: String,
    /// The encoded message, or the details of a failure, in base64; none if it was too large.
    body: Option<String>,
    /// Names and values, such as cookies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    metadata: Vec<(String, String)>,
}

impl ResponseStore {
    pub(super) fn new(store: Store, sealer: Sealer) -> Self {
        Self { store, sealer }
    }

    /// Fails if responses for this caller cannot be sealed.
    pub(super) async fn check(&self, identified: &IdentifiedCall) -> Result<()> {
        self.sealer.seal(identified.tenant, &purpose(identified), b"").await.map(drop)
    }

    /// Stores the response of a call; retries for a while if the database is unavailable. The caller gets the response in any
    /// case.
    pub(super) async fn save(&self, identified: &IdentifiedCall, response: &Encoded) {
        let end = Instant::now() + SAVE_TIMEOUT;
        while let Err(error) = self.try_save(identified, response).await {
            if error.kind != Kind::Unavailable || Instant::now() >= end {
                let cause = error.cause.as_deref();
                tracing::error!(%error, cause, "cannot store the response of a call with an idempotency key");
                return;
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn try_save(&self, identified: &IdentifiedCall, response: &Encoded) -> Result<()> {
        let response = serde_json::to_vec(&StoredResponse::of(response)).map_err(Error::internal)?;
        let sealed = self.sealer.seal(identified.tenant, &purpose(identified), &response).await?;
        idempotent::keep(&self.store, &identified.call, sealed).await
    }

    /// Replays a stored response.
    pub(super) async fn replay(&self, identified: &IdentifiedCall, sealed: &str) -> Result<Encoded> {
        let kept = self.sealer.open(identified.tenant, &purpose(identified), sealed).await?;
        let kept: StoredResponse = serde_json::from_slice(kept.expose()).map_err(Error::internal)?;
        kept.replay()
    }
}

impl StoredResponse {
    fn of(response: &Encoded) -> Self {
        let (code, text, body, metadata) = match response {
            Ok(response) => (Code::Ok, "", response.get_ref().as_ref(), response.metadata()),
            Err(status) => (status.code(), status.message(), status.details(), status.metadata()),
        };
        let text_of =
            |(name, value): (&HeaderName, &HeaderValue)| Some((name.to_string(), value.to_str().ok()?.to_owned()));
        Self {
            code: code.into(),
            text: text.to_owned(),
            body: (body.len() <= MAX_RESPONSE).then(|| STANDARD_NO_PAD.encode(body)),
            metadata: metadata.as_ref().iter().filter_map(text_of).collect(),
        }
    }

    fn replay(self) -> Result<Encoded> {
        let body = Bytes::from(STANDARD_NO_PAD.decode(self.body.ok_or_else(too_large)?).map_err(Error::internal)?);
        let mut metadata = HeaderMap::new();
        for (name, value) in self.metadata {
            let name = HeaderName::try_from(name).map_err(Error::internal)?;
            metadata.append(name, HeaderValue::try_from(value).map_err(Error::internal)?);
        }
        let mut metadata = MetadataMap::from_headers(metadata);
        metadata.insert(REPLAYED, AsciiMetadataValue::from_static("true"));
        Ok(match Code::from_i32(self.code) {
            Code::Ok => Ok(Response::from_parts(metadata, body, http::Extensions::new())),
            code => Err(Status::with_details_and_metadata(code, self.text, body, metadata)),
        })
    }
}

/// Binds a sealed response to its key.
fn purpose(identified: &IdentifiedCall) -> String {
    format!("idempotent-answer:{}", identified.call.id())
}

fn too_large() -> Error {
    let text = "the request with this Idempotency-Key succeeded, but its response was too large to be stored";
    Error::new(Kind::Aborted, Reason::IdempotentAnswerLost, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(response: &Encoded) -> Result<Encoded> {
        let stored = serde_json::to_vec(&StoredResponse::of(response)).unwrap();
        serde_json::from_slice::<StoredResponse>(&stored).unwrap().replay()
    }

    #[test]
    fn a_message_is_replayed_with_its_metadata() {
        let mut response = Response::new(Bytes::from_static(b"\x0a\x01a"));
        for cookie in ["a=1", "b=2"] {
            response.metadata_mut().append("set-cookie", AsciiMetadataValue::from_static(cookie));
        }
        let replay = again(&Ok(response)).unwrap().unwrap();
        assert_eq!(replay.get_ref().as_ref(), b"\x0a\x01a");
        let cookies: Vec<_> = replay.metadata().get_all("set-cookie").iter().collect();
        assert_eq!(cookies, ["a=1", "b=2"]);
        assert_eq!(replay.metadata().get(REPLAYED).unwrap(), "true");
    }

    #[test]
    fn a_failure_is_replayed_with_its_details() {
        let status = Error::invalid(Reason::GroupExists, "name", "no").retry_after(Duration::from_secs(2)).to_status();
        let replay = again(&Err(status.clone())).unwrap().unwrap_err();
        let facts = |status: &Status| (status.code(), status.message().to_owned(), status.details().to_owned());
        assert_eq!(facts(&replay), facts(&status));
        assert_eq!(replay.metadata().get(REPLAYED).unwrap(), "true");
    }

    #[test]
    fn a_response_that_was_too_large_is_lost() {
        let response = |length| Ok(Response::new(Bytes::from(vec![0; length])));
        assert!(again(&response(MAX_RESPONSE)).unwrap().is_ok());
        assert_eq!(again(&response(MAX_RESPONSE + 1)).unwrap_err().reason, Reason::IdempotentAnswerLost);
    }
}
