//! Answers in gzip and zstd, to those who accept them (RFC 9110, section 12.5.3).
//!
//! A compressed answer is another representation than the plain one, so its entity tag is another one as well (section
//! 8.8.3.3): `"x"` becomes `"x;gzip"`. Conditional requests take either for the resource's own. Who accepts neither a
//! coding that there is nor a plain answer gets the plain one: the call is done by then, and no 406 undoes it.

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

use crate::rest::{CODINGS, InPieces, Unmeasured};

/// A service whose answers are compressed where that is worth it: of text, above a floor of size. Streams stay as they are,
/// so that each piece arrives when it is sent.
#[derive(Clone)]
pub struct Compressed<S> {
    inner: Compression<S, Worth>,
    floor: u64,
}

impl<S> Compressed<S> {
    /// Compresses answers of more than `floor` bytes; a kibibyte is a good one.
    pub fn new(inner: S, floor: u64) -> Self {
        let worth = Worth { size: SizeAbove::new(floor) };
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
        let asked = request.headers().contains_key(ACCEPT_ENCODING);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut response = answer.await?;
            let status = response.status();
            let unmeasured = response.extensions().get::<Unmeasured>().is_some();
            let headers = response.headers_mut();
            tell_apart(headers);
            if head && is_text(media_type(headers)) && (unmeasured || length(headers) > Some(floor)) {
                headers.append(VARY, ACCEPT_ENCODING.into());
                if asked {
                    // The length of an answer that nobody compressed is not known.
                    headers.remove(CONTENT_LENGTH);
                }
            }
            if status == StatusCode::NOT_MODIFIED {
                // Section 15.4.5: what the whole answer would have said of itself.
                headers.append(VARY, ACCEPT_ENCODING.into());
            }
            Ok(response)
        })
    }
}

/// Whether there can be an answer that a caller accepts: a plain one, or one in a coding of ours.
fn can_be_met(headers: &HeaderMap) -> bool {
    let texts: Vec<_> =
        headers.get_all(ACCEPT_ENCODING).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    let (mut plain, mut ours) = (true, false);
    for coding in texts.iter().flat_map(|text| text.split(',')) {
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

fn media_type(headers: &HeaderMap) -> &str {
    headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default()
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Gives a compressed answer a tag of its own.
fn tell_apart(headers: &mut HeaderMap) {
    let Some(coding) = headers.get(CONTENT_ENCODING).and_then(|coding| coding.to_str().ok()) else { return };
    let Some(suffix) = CODINGS.iter().find(|suffix| suffix[1..] == *coding) else { return };
    let tag = headers.get(ETAG).and_then(|tag| tag.to_str().ok()).and_then(|tag| tag.strip_suffix('"'));
    if let Some(Ok(tag)) = tag.map(|tag| HeaderValue::from_str(&format!("{tag}{suffix}\""))) {
        headers.insert(ETAG, tag);
    }
}

/// What is worth compressing.
#[derive(Clone, Copy, Debug)]
struct Worth {
    size: SizeAbove,
}

impl Predicate for Worth {
    fn should_compress<B: Body>(&self, response: &Response<B>) -> bool {
        let in_pieces = response.extensions().get::<InPieces>().is_some();
        !in_pieces && is_text(media_type(response.headers())) && self.size.should_compress(response)
    }
}

/// Whether a media type is text that is sent whole.
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
    fn text_that_is_sent_whole_is_worth_compressing() {
        for text in ["application/json", "application/problem+json; charset=utf-8", "text/plain", "image/svg+xml"] {
            assert!(is_text(text), "{text}");
        }
        for other in ["application/x-ndjson", "text/event-stream", "image/png", "application/octet-stream", ""] {
            assert!(!is_text(other), "{other}");
        }
    }

    #[test]
    fn who_accepts_nothing_is_known() {
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
    fn a_compressed_answer_has_a_tag_of_its_own() {
        let mut headers = HeaderMap::from_iter([(ETAG, HeaderValue::from_static("\"x\""))]);
        tell_apart(&mut headers);
        assert_eq!(headers[ETAG], "\"x\"");
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("zstd"));
        tell_apart(&mut headers);
        assert_eq!(headers[ETAG], "\"x;zstd\"");
    }
}
