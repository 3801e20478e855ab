//! The request line and the media types of gRPC.
//!
//! A call is a POST with one of gRPC's media types. Everything else is refused with an HTTP status before anything is
//! done: proxies and caches treat other methods as safe or idempotent, and other media types as other protocols.

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
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower::{Layer, Service};
use transcoder::grpc::Answer;

use super::{
    descriptors::{Methods, Named},
    protocol::{Protocol, ProtocolLayer},
    terms::Terms,
    text::Decoded,
};
use crate::{base::GrpcForm, server::ops::without_body};

/// gRPC services behind the rules of their protocol. Cheap to clone.
#[derive(Clone)]
pub struct Door<S> {
    /// The services with the rules, and with the conversion from gRPC-Web around them.
    native: Protocol<S>,
    web: GrpcWebService<Protocol<S>>,
    methods: Arc<Methods>,
}

/// Why a request is not gRPC.
enum Refusal {
    /// A call must be a POST.
    Method,
    /// The media type is not supported.
    MediaType,
    /// Plain gRPC requires HTTP/2.
    Version,
}

impl<S: Clone> Door<S> {
    /// Wraps services. `methods` are theirs.
    pub fn new(services: S, methods: Arc<Methods>, terms: Terms) -> Self {
        let native = ProtocolLayer::new(methods.clone(), terms).layer(services);
        let web = GrpcWebLayer::new().layer(native.clone());
        Self { native, web, methods }
    }

    /// Whether a request is for gRPC: by its media type, or because it is for the path of a method.
    pub fn is_for(&self, request: &Request<Body>) -> bool {
        GrpcForm::is_meant(request.headers()) || matches!(self.methods.find(request.uri().path()), Named::Method(_))
    }
}

impl<S> Service<Request<Body>> for Door<S>
where
    S: Service<Request<tonic::body::Body>, Response = Response<tonic::body::Body>, Error = Infallible, Future = Answer>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The services are always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match form(&request) {
            Ok(form) => {
                normalize(&mut request, form);
                if form == GrpcForm::Native {
                    let answer = self.native.call(request.map(tonic::body::Body::new));
                    return Box::pin(async move { answer.await.map(|response| response.map(Body::new)) });
                }
                let request = if form == GrpcForm::WebText { decode(request) } else { request };
                let answer = self.web.call(request);
                Box::pin(async move { answer.await.map(|response| response.map(Body::new)) })
            }
            Err(refusal) => Box::pin(ready(Ok(refusal.answer(request.method())))),
        }
    }
}

/// The variant of a call, if its request line and media type are valid.
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

/// Rewrites the media types in the form that the inner layers compare.
fn normalize(request: &mut Request<Body>, form: GrpcForm) {
    let headers = request.headers_mut();
    if form != GrpcForm::Native {
        let answer = form.of_answer(headers);
        headers.insert(ACCEPT, answer.media_type());
    }
    headers.insert(CONTENT_TYPE, form.media_type());
}

/// Decodes gRPC-Web text, which tonic-web reads correctly only if the chunks have certain boundaries. The response
/// still has the variant that `Accept` asks for.
fn decode(mut request: Request<Body>) -> Request<Body> {
    request.headers_mut().insert(CONTENT_TYPE, GrpcForm::Web.media_type());
    request.map(|body| Body::new(Decoded::new(body)))
}

impl Refusal {
    /// The response, in plain text: the client does not expect the dialect of any REST surface.
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
