//! The rules of gRPC between HTTP and the services, which the library leaves to its users: whether the method exists,
//! the headers are valid, the messages are framed correctly, and responses are compressed.
//!
//! Sources: <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>, with `compression.md` and
//! `statuscodes.md`.

use std::{
    convert::Infallible,
    future::ready,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, HeaderValue, Request, Response};
use tonic::body::Body;
use tower::{Layer, Service};
use transcoder::{grpc::Answer, rest::has_unreadable_timeout};

use super::{
    compress,
    descriptors::{Methods, Named, Streams},
    frames::{Frames, Rules},
    terms::Terms,
};
use crate::base::{Error, Kind, error::Reason};

/// The longest part of a caller's text that a response repeats, in bytes.
const MAX_REPEATED: usize = 200;

/// Puts the rules around services.
#[derive(Clone)]
pub(super) struct ProtocolLayer {
    methods: Arc<Methods>,
    terms: Terms,
}

impl ProtocolLayer {
    /// The rules for these methods.
    pub(super) fn new(methods: Arc<Methods>, terms: Terms) -> Self {
        Self { methods, terms }
    }
}

impl<S> Layer<S> for ProtocolLayer {
    type Service = Protocol<S>;

    fn layer(&self, inner: S) -> Protocol<S> {
        Protocol { rules: self.clone(), inner }
    }
}

/// Services with the rules.
#[derive(Clone)]
pub(super) struct Protocol<S> {
    rules: ProtocolLayer,
    inner: S,
}

impl<S> Service<Request<Body>> for Protocol<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = Answer>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Answer {
        let rules = match self.rules.of(&request) {
            Ok(rules) => rules,
            Err(refusal) => {
                let mut response = self.rules.terms.status(refusal).into_http();
                // Also on errors: the supported encodings.
                response.headers_mut().insert(&compress::ACCEPT_ENCODING, HeaderValue::from_static(compress::SERVED));
                return Box::pin(ready(Ok(response)));
            }
        };
        // From here on messages are decompressed.
        request.headers_mut().remove(&compress::ENCODING);
        let compressed = compress::is_accepted(request.headers());
        let answer = self.inner.call(request.map(|body| Body::new(Frames::new(body, rules))));
        if !compressed {
            return answer;
        }
        Box::pin(async move { answer.await.map(compress::compress) })
    }
}

impl ProtocolLayer {
    /// The rules for the messages of a call, if its head is valid.
    fn of(&self, request: &Request<Body>) -> Result<Rules, Error> {
        let streams = self.method(request.uri().path())?;
        let headers = request.headers();
        if has_unreadable_timeout(headers) {
            let text = "grpc-timeout is not valid: expected at most eight digits and a unit (H, M, S, m, u or n)";
            return Err(Error::new(Kind::InvalidArgument, Reason::ProtocolViolation, text));
        }
        Ok(Rules { single: !streams.from_client, gzip: is_gzip(headers)?, terms: self.terms })
    }

    fn method(&self, path: &str) -> Result<&Streams, Error> {
        let text = match self.methods.find(path) {
            Named::Method(streams) => return Ok(streams),
            Named::NoMethod { service, method } => {
                format!("service {service} has no method {}", truncated(method))
            }
            Named::NoService(service) => format!("there is no service {}", truncated(service)),
            Named::Nothing => format!("{} is not the path of a method: /package.Service/Method", truncated(path)),
        };
        Err(Error::new(Kind::Unimplemented, Reason::MethodUnknown, text))
    }
}

/// The start of a caller's text.
fn truncated(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_REPEATED)]
}

/// Whether messages may be compressed. Encodings other than gzip are refused, and the response lists the supported
/// ones.
fn is_gzip(headers: &HeaderMap) -> Result<bool, Error> {
    match headers.get(&compress::ENCODING).map(|value| value.as_bytes()) {
        None | Some(b"identity") => Ok(false),
        Some(encoding) if encoding == compress::GZIP.as_bytes() => Ok(true),
        Some(_) => {
            let text = "grpc-encoding names an unsupported compression; use gzip or identity";
            Err(Error::new(Kind::Unimplemented, Reason::ProtocolViolation, text))
        }
    }
}
