//! Idempotency keys: as callers send them, and the call with a key, as its writes see it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http::{HeaderMap, HeaderName};

use super::error::{Error, Kind, Reason, Result};

/// The idempotency key of a request as it was sent, in the extensions of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentKey(Option<Arc<str>>);

impl SentKey {
    /// The header over REST, and the metadata over gRPC.
    pub const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
    /// Maximum length of a key, in characters.
    const MAX: usize = 255;

    /// The key in the headers, if there is one. It is checked when it is [read](Self::read): methods that do not accept a key ignore it.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut all = headers.get_all(Self::HEADER).iter();
        let first = all.next()?.as_bytes();
        let is_key = (1..=Self::MAX).contains(&first.len()) && first.iter().all(u8::is_ascii_graphic);
        let once = all.next().is_none();
        Some(Self((is_key && once).then(|| String::from_utf8_lossy(first).into())))
    }

    /// The key: 1 to 255 visible characters of ASCII, sent once.
    pub fn read(&self) -> Result<&str> {
        self.0.as_deref().ok_or_else(|| {
            let text = format!("send Idempotency-Key once, with 1 to {} visible ASCII characters", Self::MAX);
            Error::new(Kind::InvalidArgument, Reason::IdempotencyKeyInvalid, text)
        })
    }
}

/// A call that takes effect once under its key. Its first write claims the key in its own transaction, so that the key is
/// claimed exactly if the write is committed. Cheap to clone; all clones are the same call.
#[derive(Clone, Debug)]
pub struct KeyedCall(Arc<Facts>);

#[derive(Debug)]
struct Facts {
    id: String,
    request_hash: String,
    wrote: AtomicBool,
}

/// Prefix of request digests. Those of older versions were digests of the bytes of a REST request, without a prefix.
const FORM: &str = "2:";

impl KeyedCall {
    /// A call that has written nothing. `id` is the digest of the key with its owner and method, `request` the digest of the request.
    pub fn new(id: String, request: &str) -> Self {
        let request_hash = format!("{FORM}{request}");
        Self(Arc::new(Facts { id, request_hash, wrote: AtomicBool::new(false) }))
    }

    /// The digest of the key with its owner and method.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The digest of the request, as it is stored.
    pub fn request_hash(&self) -> &str {
        &self.0.request_hash
    }

    /// Whether an older version stored this digest, so that it cannot be compared.
    pub fn is_older(stored: &str) -> bool {
        !stored.starts_with(FORM)
    }

    /// Whether a write of the call was acknowledged, and with it its key. An unacknowledged write may have committed too; only the
    /// database knows.
    pub fn has_written(&self) -> bool {
        self.0.wrote.load(Ordering::Acquire)
    }

    /// Records that a write of the call was acknowledged.
    pub fn note_written(&self) {
        self.0.wrote.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn sent(values: &[&str]) -> Option<SentKey> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(SentKey::HEADER, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        SentKey::of(&headers)
    }

    #[test]
    fn a_key_is_one_word_of_visible_ascii() {
        assert_eq!(sent(&[]), None);
        assert_eq!(sent(&["a-1_~!"]).unwrap().read().unwrap(), "a-1_~!");
        assert!(sent(&["x".repeat(255).as_str()]).unwrap().read().is_ok());
        for bad in [&[""][..], &["a b"], &["ä"], &["a", "a"], &["x".repeat(256).as_str()]] {
            let error = sent(bad).unwrap().read().unwrap_err();
            assert_eq!((error.kind, error.reason), (Kind::InvalidArgument, Reason::IdempotencyKeyInvalid), "{bad:?}");
        }
    }
}
