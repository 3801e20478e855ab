//! The request line and the media types of gRPC.
//!
//! A call is a POST of one of gRPC's media types; what is none is refused with a status of HTTP before anything is done, as
//! proxies and caches take other methods for safe or repeatable, and other media types for other protocols.

use std::{
    convert::Infallible,
    future::{Future, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::Body;
use http::{
    HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{ACCEPT, ALLOW, CONTENT_TYPE},
};
use tonic_web::GrpcWebLayer;
use tower::{Service, util::MapResponseLayer};

use super::{
    descriptors::{Methods, Named},
    protocol::{ProtocolLayer, Terms},
    text::Decoded,
};
use crate::{base::GrpcForm, server::ops::without_body};

/// gRPC services behind the rules of their protocol. Cheap to clone.
#[derive(Clone)]
pub struct Door {
    services: axum::Router,
    methods: Arc<Methods>,
}

/// Why a request is none of gRPC.
enum Refusal {
    /// A call is a POST.
    Method,
    /// The body is not said to hold messages in a form that is served.
    MediaType,
    /// gRPC as such needs HTTP/2.
    Version,
}

impl Door {
    /// A door before services. `methods` are theirs.
    pub fn new(services: axum::Router, methods: Arc<Methods>, terms: Terms) -> Self {
        // From the outside in: gRPC-Web becomes gRPC, whose rules are checked then.
        let services = services.layer((
            GrpcWebLayer::new(),
            ProtocolLayer::new(methods.clone(), terms),
            MapResponseLayer::new(|response: Response<Body>| response.map(tonic::body::Body::new)),
        ));
        Self { services, methods }
    }

    /// Whether a request is for gRPC: it says so, or it is for the path of a method.
    pub fn is_for(&self, request: &Request<Body>) -> bool {
        GrpcForm::is_meant(request.headers()) || matches!(self.methods.find(request.uri().path()), Named::Method(_))
    }
}

impl Service<Request<Body>> for Door {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A router is always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match form(&request) {
            Ok(form) => {
                normalize(&mut request, form);
                let request = if form == GrpcForm::WebText { decode(request) } else { request };
                Box::pin(self.services.call(request))
            }
            Err(refusal) => Box::pin(ready(Ok(refusal.answer(request.method())))),
        }
    }
}

/// The form of a call, if its request line and media type are those of one.
fn form(request: &Request<Body>) -> Result<GrpcForm, Refusal> {
    if request.method() != Method::POST {
        return Err(Refusal::Method);
    }
    match GrpcForm::of(request.headers()) {
        None => Err(Refusal::MediaType),
        Some(GrpcForm::Native) if request.version() < Version::HTTP_2 => Err(Refusal::Version),
        Some(form) => Ok(form),
    }
}

/// Writes the media types as the layers behind compare them.
fn normalize(request: &mut Request<Body>, form: GrpcForm) {
    let headers = request.headers_mut();
    if form != GrpcForm::Native {
        let answer = form.of_answer(headers);
        headers.insert(ACCEPT, answer.media_type());
    }
    headers.insert(CONTENT_TYPE, form.media_type());
}

/// Makes gRPC-Web of its form in base64, which tonic-web reads rightly only where it is cut as it likes. The answer is in
/// the form that `Accept` names all the same.
fn decode(mut request: Request<Body>) -> Request<Body> {
    request.headers_mut().insert(CONTENT_TYPE, GrpcForm::Web.media_type());
    request.map(|body| Body::new(Decoded::new(body)))
}

impl Refusal {
    /// The answer, which is plain text: whoever asked speaks none of the dialects of REST.
    fn answer(self, method: &Method) -> Response<Body> {
        let (status, text) = match self {
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "a gRPC call must be a POST"),
            Self::MediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "a gRPC call must have the Content-Type application/grpc, application/grpc-web or application/grpc-web-text, with protobuf messages",
            ),
            Self::Version => (
                StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                "gRPC requires HTTP/2; over HTTP/1.1 use gRPC-Web (application/grpc-web)",
            ),
        };
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        if method == Method::HEAD { without_body(response) } else { response }
    }
}
