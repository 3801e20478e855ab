//! Responses: success, failure, redirect.

use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{
        ACCEPT, ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION,
        RETRY_AFTER, VARY, WWW_AUTHENTICATE,
    },
};
use tonic::{Code, metadata::MetadataMap};

use super::{
    body::ResponseBody,
    endpoint::Success,
    etag,
    payload::Payload,
    rule::{Matched, Rule},
};
use crate::{
    Dialect, Dialects,
    failure::{Failure, Origin},
    metadata::headers_of,
};

/// Asks proxies not to buffer a streamed response.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Marks a streamed response, in its extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Streamed;

/// Marks, in its extensions, a response to HEAD with a body of unknown length for GET.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnknownLength;

/// The outcome of a REST call. It is in the extensions of a failed response, and of every response of a method if
/// [`RestBuilder::with_facts`](crate::RestBuilder::with_facts) was called.
#[derive(Clone, Copy, Debug)]
pub struct CallOutcome {
    /// The gRPC code.
    pub code: Code,
    /// The matched rule, if any.
    pub matched: Option<Matched>,
}

/// A response with a complete body.
pub(super) fn whole(success: Success, payload: Option<Payload>) -> Response<ResponseBody> {
    let Success { status, metadata, extensions, tag, .. } = success;
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let mut response = match payload.filter(|_| !bodiless) {
        Some(payload) => {
            let mut response = full(status, payload.bytes.into());
            response.headers_mut().insert(CONTENT_TYPE, payload.content_type);
            response
        }
        None => empty(status),
    };
    if let Some(tag) = tag {
        etag::insert(response.headers_mut(), &tag);
    }
    finish(&mut response, metadata, extensions);
    response
}

/// A response whose body is sent piece by piece: a stream or a long list.
pub(super) fn pieces(
    rule: &Rule,
    success: Success,
    content_type: HeaderValue,
    body: ResponseBody,
) -> Response<ResponseBody> {
    let Success { status, metadata, extensions, tag, .. } = success;
    let mut response = full(status, body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    if let Some(tag) = tag {
        etag::insert(headers, &tag);
    }
    let messages = rule.stream && !rule.raw_answer;
    if messages {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(BUFFERING, HeaderValue::from_static("no"));
    }
    finish(&mut response, metadata, extensions);
    if rule.stream || rule.raw_answer {
        response.extensions_mut().insert(Streamed);
    }
    if messages {
        response.headers_mut().append(VARY, HeaderValue::from_static("accept"));
    }
    response
}

fn finish(response: &mut Response<ResponseBody>, metadata: MetadataMap, extensions: http::Extensions) {
    *response.extensions_mut() = extensions;
    if !metadata.is_empty() {
        response.headers_mut().extend(headers_of(metadata));
    }
}

/// An error in a dialect, with the headers that its status requires.
pub(super) fn refuse(dialect: &dyn Dialect, failure: Failure, matched: Option<Matched>) -> Response<ResponseBody> {
    let rendered = dialect.render(&failure);
    let mut response = full(rendered.status, bytes::Bytes::from(rendered.body).into());
    let headers = response.headers_mut();
    *headers = failure.headers;
    // The service meant the body of its own response, not this one.
    headers.remove(CONTENT_ENCODING);
    headers.extend(rendered.headers);
    let mut default = |name: HeaderName, value: HeaderValue| {
        headers.entry(name).or_insert(value);
    };
    default(CONTENT_TYPE, HeaderValue::from_static(rendered.content_type));
    if let Some(allow) = failure.allow.as_deref().and_then(|allow| HeaderValue::from_str(allow).ok()) {
        default(ALLOW, allow);
    }
    if let Some(seconds) = failure.retry_after {
        default(RETRY_AFTER, seconds.into());
    }
    if rendered.status == StatusCode::UNAUTHORIZED {
        default(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    // RFC 9110, section 15.5.16: lists what would be accepted.
    match (failure.origin, &*failure.reason) {
        (Origin::Decode, Failure::CONTENT_ENCODING) => default(ACCEPT_ENCODING, HeaderValue::from_static("identity")),
        (Origin::Decode, Failure::MEDIA_TYPE) => default(ACCEPT, HeaderValue::from_static("application/json")),
        _ => {}
    }
    response.extensions_mut().insert(CallOutcome { code: failure.code, matched });
    response
}

/// A redirect to the same path without the trailing slash.
pub(super) fn redirect(location: &str) -> Response<ResponseBody> {
    let mut response = empty(StatusCode::TEMPORARY_REDIRECT);
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// The response to OPTIONS.
pub(super) fn options(allow: &str) -> Response<ResponseBody> {
    let mut response = empty(StatusCode::NO_CONTENT);
    if let Ok(allow) = HeaderValue::from_str(allow) {
        response.headers_mut().insert(ALLOW, allow);
    }
    response
}

/// The response to HEAD: everything except the body. Its length stays, if it is known.
pub(super) fn without_body(response: Response<ResponseBody>) -> Response<ResponseBody> {
    let (mut parts, body) = response.into_parts();
    match http_body::Body::size_hint(&body).exact() {
        Some(0) => {}
        Some(length) => {
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        None if parts.extensions.get::<Streamed>().is_none() => {
            parts.extensions.insert(UnknownLength);
        }
        None => {}
    }
    Response::from_parts(parts, ResponseBody::default())
}

fn full(status: StatusCode, body: ResponseBody) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

fn empty(status: StatusCode) -> Response<ResponseBody> {
    full(status, ResponseBody::default())
}

impl Dialects {
    /// An error outside of any route, in the dialect of its path.
    pub fn refuse(&self, path: &str, failure: Failure) -> Response<ResponseBody> {
        refuse(self.of_path(path), failure, None)
    }
}
