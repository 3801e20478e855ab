//! A route: one rule of `google.api.http` and the method behind it.

use std::{future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use prost_types::FieldMask;
use tonic::Status;

use super::{
    bind,
    rule::{Call, Rule},
};
use crate::{
    failure::{Failure, Origin},
    json::{Habits, Message, Unprintable, Writer},
};

/// The body of an answer.
#[derive(Clone, Debug)]
pub struct Payload {
    /// Value of Content-Type.
    pub content_type: HeaderValue,
    /// The bytes.
    pub bytes: Bytes,
}

impl Payload {
    /// Raw bytes of a media type, as `google.api.HttpBody` carries them.
    pub fn raw(content_type: &str, bytes: impl Into<Bytes>) -> Self {
        let octets = HeaderValue::from_static("application/octet-stream");
        Self { content_type: HeaderValue::from_str(content_type).unwrap_or(octets), bytes: bytes.into() }
    }
}

/// Room for a usual answer, so that writing it does not grow it step by step.
const ROOM: usize = 1024;

/// Writes an answer, or one field of it, as JSON.
pub fn json<M: Message>(message: &M, field: Option<usize>, habits: &Habits) -> Result<Payload, Unprintable> {
    let mut writer = Writer::with_capacity(habits, ROOM);
    match field {
        Some(field) => writer.field(message, field),
        None => writer.message(message),
    }
    let content_type = HeaderValue::from_static("application/json");
    Ok(Payload { content_type, bytes: writer.finish()?.into() })
}

/// What a method answered.
#[derive(Debug)]
pub(super) struct Success {
    pub status: StatusCode,
    pub metadata: tonic::metadata::MetadataMap,
    pub extensions: http::Extensions,
    pub payload: Option<Payload>,
}

/// One rule and the method behind it.
#[derive(Clone)]
pub struct Route {
    /// The rule.
    pub rule: &'static Rule,
    endpoint: Arc<dyn Endpoint>,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.rule.method, self.rule.template.text)
    }
}

impl Route {
    /// A route to a unary method: how to call it, how to write its answer, which bool of the answer, if any, tells that
    /// something was created, and which mask of the request, if any, is filled with the members of the body.
    pub fn unary<Req, Res, F, Fut>(
        rule: &'static Rule,
        call: F,
        write: fn(&Res, Option<usize>, &Habits) -> Result<Payload, Unprintable>,
        created: Option<fn(&Res) -> bool>,
        mask: Option<fn(&mut Req) -> &mut Option<FieldMask>>,
    ) -> Self
    where
        Req: Message,
        Res: Send + 'static,
        F: Fn(tonic::Request<Req>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<tonic::Response<Res>, Status>> + Send + 'static,
    {
        Self { rule, endpoint: Arc::new(Unary { rule, call, write, created, mask }) }
    }

    pub(super) fn call(&self, call: Call) -> Pin<Box<dyn Future<Output = Result<Success, Failure>> + Send>> {
        self.endpoint.call(call)
    }
}

trait Endpoint: Send + Sync {
    fn call(&self, call: Call) -> Pin<Box<dyn Future<Output = Result<Success, Failure>> + Send>>;
}

struct Unary<Req, Res, F> {
    rule: &'static Rule,
    call: F,
    write: fn(&Res, Option<usize>, &Habits) -> Result<Payload, Unprintable>,
    created: Option<fn(&Res) -> bool>,
    mask: Option<bind::Mask<Req>>,
}

impl<Req, Res, F, Fut> Endpoint for Unary<Req, Res, F>
where
    Req: Message,
    Res: Send + 'static,
    F: Fn(tonic::Request<Req>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<tonic::Response<Res>, Status>> + Send + 'static,
{
    fn call(&self, call: Call) -> Pin<Box<dyn Future<Output = Result<Success, Failure>> + Send>> {
        let Self { rule, write, created, mask, .. } = *self;
        let message = match bind::message::<Req>(rule, &call, mask) {
            Ok(message) => message,
            Err(fault) => {
                let failure = Failure::fault(fault).by_reason(rule.status);
                return Box::pin(std::future::ready(Err(failure)));
            }
        };
        let request = tonic::Request::from_http(http::Request::from_parts(call.parts, message));
        let answer = (self.call)(request);
        Box::pin(async move {
            let response = answer.await.map_err(|status| Failure::of_status(Origin::Service, &status, rule.status))?;
            let (metadata, message, extensions) = response.into_parts();
            let success = if created.is_some_and(|created| created(&message)) { 201 } else { rule.success };
            let payload =
                if rule.empty_body { None } else { Some(write(&message, rule.response, &rule.info.surface.habits)) };
            let payload = payload.transpose().map_err(unprintable)?;
            let status = StatusCode::from_u16(success).unwrap_or_default();
            Ok(Success { status, metadata, extensions, payload })
        })
    }
}

fn unprintable(why: Unprintable) -> Failure {
    Failure::new(Origin::Server, tonic::Code::Internal, "ANSWER_UNPRINTABLE", format!("the answer holds {why}"))
}
