//! Compresses responses with gzip and zstd for clients that accept them (RFC 9110, section 12.5.3).
//!
//! A compressed response is another representation than the plain one, so it has another entity tag (section 8.8.3.3):
//! `"x"` becomes `"x;gzip"`. Conditional requests accept either as the tag of the resource. A client that accepts
//! neither a supported coding nor a plain response gets the plain one: the call has run by then, and a 406 would not
//! undo it.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, VARY},
};
use http_body::Body;
use tower::Service;
use tower_http::compression::{Compression, CompressionBody, Predicate, predicate::SizeAbove};

use crate::{
    fields::items,
    rest::{CODINGS, Streamed, UnknownLength},
};

/// A service that compresses responses with text above a minimum size. Streams are not compressed, so that each piece
/// arrives when it is sent.
#[derive(Clone)]
pub struct Compressed<S> {
    inner: Compression<S, CompressionPolicy>,
    floor: u64,
}

impl<S> Compressed<S> {
    /// Compresses responses of more than `floor` bytes; 1024 is a good value.
    pub fn new(inner: S, floor: u64) -> Self {
        let worth = CompressionPolicy { size: SizeAbove::new(floor) };
        Self { inner: Compression::new(inner).no_br().no_deflate().compress_when(worth), floor }
    }
}

impl<S: fmt::Debug> fmt::Debug for Compressed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Compressed").field(self.inner.get_ref()).finish()
    }
}

impl<S, Req, Res> Service<Request<Req>> for Compressed<S>
where
    S: Service<Request<Req>, Response = Response<Res>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    Res: Body + Send + 'static,
{
    type Response = Response<CompressionBody<Res>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Req>) -> Self::Future {
        let floor = self.floor;
        let head = request.method() == Method::HEAD;
        if !can_be_met(request.headers()) {
            request.headers_mut().remove(ACCEPT_ENCODING);
        }
        keep_known_forms(request.headers_mut());
        let asked = request.headers().contains_key(ACCEPT_ENCODING);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut response = answer.await?;
            let status = response.status();
            let unmeasured = response.extensions().get::<UnknownLength>().is_some();
            let headers = response.headers_mut();
            tell_apart(headers);
            if head && is_text(media_type(headers)) && (unmeasured || length(headers) > Some(floor)) {
                headers.append(VARY, ACCEPT_ENCODING.into());
                if asked {
                    // The length of the uncompressed response is not known.
                    headers.remove(CONTENT_LENGTH);
                }
            }
            if status == StatusCode::NOT_MODIFIED {
                // Section 15.4.5: a 304 has the headers that the full response would have.
                headers.append(VARY, ACCEPT_ENCODING.into());
            }
            Ok(response)
        })
    }
}

/// Whether the client accepts any response that can be sent: a plain one, or one in a supported coding.
fn can_be_met(headers: &HeaderMap) -> bool {
    let (mut plain, mut ours) = (true, false);
    for coding in items(headers, ACCEPT_ENCODING) {
        let coding = String::from_utf8_lossy(coding);
        let mut parts = coding.split(';').map(|part| part.trim().to_ascii_lowercase());
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=").map(str::to_owned));
        let weight = weight.map_or(Some(1.0), |weight| weight.parse::<f32>().ok());
        plain &= !(matches!(&*name, "identity" | "*") && weight == Some(0.0));
        let taken = weight.is_some_and(|weight| weight > 0.0 && weight <= 1.0);
        ours |= matches!(&*name, "gzip" | "x-gzip" | "zstd" | "*") && taken;
    }
    plain || ours
}

/// Removes the codings that cannot be supported ones, because they have octets beyond ASCII or a quoted string: the library would not see
/// the others in the same field.
fn keep_known_forms(headers: &mut HeaderMap) {
    let is_known = |coding: &&[u8]| coding.is_ascii() && !coding.contains(&b'"');
    if headers.get_all(ACCEPT_ENCODING).iter().all(|value| is_known(&value.as_bytes())) {
        return;
    }
    let kept = items(headers, ACCEPT_ENCODING).filter(is_known).collect::<Vec<_>>().join(&b", "[..]);
    // An empty field means that no coding is accepted, which is not the same as no field.
    if let Ok(kept) = HeaderValue::from_bytes(&kept) {
        headers.insert(ACCEPT_ENCODING, kept);
    }
}

fn media_type(headers: &HeaderMap) -> &str {
    headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default()
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Gives a compressed response its own entity tag.
fn tell_apart(headers: &mut HeaderMap) {
    let Some(coding) = headers.get(CONTENT_ENCODING).and_then(|coding| coding.to_str().ok()) else { return };
    let Some(suffix) = CODINGS.iter().find(|suffix| suffix[1..] == *coding) else { return };
    let tag = headers.get(ETAG).and_then(|tag| tag.to_str().ok()).and_then(|tag| tag.strip_suffix('"'));
    if let Some(Ok(tag)) = tag.map(|tag| HeaderValue::from_str(&format!("{tag}{suffix}\""))) {
        headers.insert(ETAG, tag);
    }
}

/// Decides which responses are worth compressing.
#[derive(Clone, Copy, Debug)]
struct CompressionPolicy {
    size: SizeAbove,
}

impl Predicate for CompressionPolicy {
    fn should_compress<B: Body>(&self, response: &Response<B>) -> bool {
        let in_pieces = response.extensions().get::<Streamed>().is_some();
        !in_pieces && is_text(media_type(response.headers())) && self.size.should_compress(response)
    }
}

/// Whether responses of a media type are text and sent in one piece.
fn is_text(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    match kind.split_once('/') {
        Some(("text", sort)) => sort != "event-stream",
        Some(("application", sort)) => {
            matches!(sort, "json" | "xml" | "javascript") || sort.ends_with("+json") || sort.ends_with("+xml")
        }
        Some(("image", sort)) => sort == "svg+xml",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_complete_text_is_compressed() {
        for text in ["application/json", "application/problem+json; charset=utf-8", "text/plain", "image/svg+xml"] {
            assert!(is_text(text), "{text}");
        }
        for other in ["application/x-ndjson", "text/event-stream", "image/png", "application/octet-stream", ""] {
            assert!(!is_text(other), "{other}");
        }
    }

    #[test]
    fn clients_that_accept_nothing_are_recognized() {
        let can = |text: &str| can_be_met(&HeaderMap::from_iter([(ACCEPT_ENCODING, text.parse().unwrap())]));
        assert!(can_be_met(&HeaderMap::new()));
        for met in ["", "br", "gzip;q=0", "identity;q=0, GZIP", "*;q=0, zstd;q=0.1", "*", "identity;q=x"] {
            assert!(can(met), "{met}");
        }
        for unmet in ["identity;q=0", "br, identity; q=0.0", "*;q=0", "gzip;q=0, *;Q=0", "identity;q=0, gzip;q=2"] {
            assert!(!can(unmet), "{unmet}");
        }
    }

    #[test]
    fn an_unknown_coding_hides_no_other() {
        for (given, kept) in [
            (&b"gzip;q=0.5, zstd"[..], &b"gzip;q=0.5, zstd"[..]),
            (b"\xff, zstd", b"zstd"),
            (b"a;x=\"\xfc, gzip\", zstd;q=0.5,identity", b"zstd;q=0.5, identity"),
            (b"\xff", b""),
        ] {
            let mut headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_bytes(given).unwrap())]);
            keep_known_forms(&mut headers);
            assert_eq!(headers[ACCEPT_ENCODING].as_bytes(), kept, "{}", given.escape_ascii());
        }
    }

    #[test]
    fn a_compressed_response_has_its_own_tag() {
        let mut headers = HeaderMap::from_iter([(ETAG, HeaderValue::from_static("\"x\""))]);
        tell_apart(&mut headers);
        assert_eq!(headers[ETAG], "\"x\"");
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("zstd"));
        tell_apart(&mut headers);
        assert_eq!(headers[ETAG], "\"x;zstd\"");
    }
}
