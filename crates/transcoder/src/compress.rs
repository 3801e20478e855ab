//! Answers in gzip and zstd, to those who accept them (RFC 9110, section 12.5.3).
//!
//! A compressed answer is another representation than the plain one, so its entity tag is another one as well (section
//! 8.8.3.3): `"x"` becomes `"x;gzip"`. Conditional requests take either for the resource's own.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{
    HeaderMap, HeaderValue, Request, Response,
    header::{CONTENT_ENCODING, CONTENT_TYPE, ETAG},
};
use http_body::Body;
use tower::Service;
use tower_http::compression::{Compression, CompressionBody, Predicate, predicate::SizeAbove};

use crate::rest::CODINGS;

/// A service whose answers are compressed where that is worth it: of text, of a size known to be above a floor, or not
/// known. Streams of messages stay as they are, so that each message arrives when it is sent.
#[derive(Clone)]
pub struct Compressed<S>(Compression<S, Worth>);

impl<S> Compressed<S> {
    /// Compresses answers of more than `floor` bytes; a kibibyte is a good one.
    pub fn new(inner: S, floor: u64) -> Self {
        let worth = Worth { size: SizeAbove::new(floor) };
        Self(Compression::new(inner).no_br().no_deflate().compress_when(worth))
    }
}

impl<S: fmt::Debug> fmt::Debug for Compressed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Compressed").field(self.0.get_ref()).finish()
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
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Req>) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async move {
            let mut response = answer.await?;
            tell_apart(response.headers_mut());
            Ok(response)
        })
    }
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
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        is_text(kind) && self.size.should_compress(response)
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
    fn a_compressed_answer_has_a_tag_of_its_own() {
        let mut headers = HeaderMap::from_iter([(ETAG, HeaderValue::from_static("\"x\""))]);
        tell_apart(&mut headers);
        assert_eq!(headers[ETAG], "\"x\"");
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("zstd"));
        tell_apart(&mut headers);
        assert_eq!(headers[ETAG], "\"x;zstd\"");
    }
}
