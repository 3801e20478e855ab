//! A route: one rule of `google.api.http` and the method behind it.

use std::{future::Future, marker::PhantomData, pin::Pin, sync::Arc};

use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderValue, StatusCode};
use tonic::Status;

use super::{
    bind::{self, Mask, Upload},
    etag,
    rule::{Call, Rule},
    stream::{Item, Items},
    streaming::Streaming,
};
use crate::{
    failure::{Failure, Origin},
    json::{Fault, FaultKind, Habits, Kind, Message, Place, Unprintable, Writer},
};

/// The body of an answer.
#[derive(Clone, Debug)]
pub struct Payload {
    /// Value of Content-Type.
    pub content_type: HeaderValue,
    /// The bytes.
    pub bytes: Bytes,
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");

impl Payload {
    pub(super) const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

    /// Raw bytes of a media type, as `google.api.HttpBody` carries them.
    pub fn raw(content_type: &str, bytes: impl Into<Bytes>) -> Self {
        let content_type = HeaderValue::from_str(content_type).ok().filter(|value| !value.is_empty());
        Self { content_type: content_type.unwrap_or(Self::OCTETS), bytes: bytes.into() }
    }
}

/// Room for a usual answer, so that writing it does not grow it step by step.
const ROOM: usize = 1024;

/// Writes an answer, or one field of it, as JSON.
pub fn json<M: Message>(message: M, field: Option<usize>, habits: &Habits) -> Result<Payload, Unprintable> {
    let mut writer = Writer::with_capacity(habits, ROOM);
    match field {
        Some(field) => writer.field(&message, field),
        None => writer.message(&message),
    }
    Ok(Payload { content_type: JSON, bytes: writer.finish()?.into() })
}

/// Writes an answer that is a well-known type as JSON.
pub fn value<K: Kind>(value: K::Rust, _: Option<usize>, habits: &Habits) -> Result<Payload, Unprintable> {
    let mut writer = Writer::with_capacity(habits, ROOM);
    K::write(&value, &mut writer);
    Ok(Payload { content_type: JSON, bytes: writer.finish()?.into() })
}

/// Writes an answer.
pub(super) type Write<Res> = fn(Res, Option<usize>, &Habits) -> Result<Payload, Unprintable>;

/// Reads a word out of an answer.
pub(super) type Word<Res> = Option<fn(&Res) -> Option<String>>;

/// What a route does with the messages of its method. Generated: what the options do not ask for is `None`.
#[derive(Debug)]
pub struct Handles<Req, Res> {
    /// Writes the answer, or that field of it which is the answer.
    pub write: Write<Res>,
    /// Which bool tells that something was created.
    pub created: Option<fn(&Res) -> bool>,
    /// Which mask is filled with the members of the body.
    pub mask: Option<Mask<Req>>,
    /// Where raw bytes go.
    pub upload: Option<Upload<Req>>,
    /// The entity tag of an answer.
    pub tag: Word<Res>,
    /// The id of the event that a message is.
    pub event_id: Word<Res>,
    /// The type of that event.
    pub event_type: Word<Res>,
}

impl<Req, Res> Handles<Req, Res> {
    /// Writes the answer and does no more.
    pub const fn new(write: Write<Res>) -> Self {
        Self { write, created: None, mask: None, upload: None, tag: None, event_id: None, event_type: None }
    }
}

/// What a method answered.
pub(super) struct Success {
    pub status: StatusCode,
    pub metadata: tonic::metadata::MetadataMap,
    pub extensions: http::Extensions,
    pub content: Content,
    /// The entity tag of the resource.
    pub tag: Option<String>,
}

/// What is sent.
pub(super) enum Content {
    None,
    Whole(Payload),
    /// A stream: its first message if it is there, and the others.
    Items {
        /// The media type of what the messages are written as.
        media_type: HeaderValue,
        first: Option<Item>,
        rest: Items,
    },
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
    /// A route to a method that answers once: how it is called, and what is done with its messages.
    pub fn unary<Req, Res, F, Fut>(rule: &'static Rule, call: F, handles: Handles<Req, Res>) -> Self
    where
        Req: Message,
        Res: Send + 'static,
        F: Fn(tonic::Request<Req>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<tonic::Response<Res>, Status>> + Send + 'static,
    {
        Self { rule, endpoint: Arc::new(Unary { rule, call, handles }) }
    }

    /// A route to a method that answers with a stream.
    pub fn stream<Req, Res, F, Fut, St>(rule: &'static Rule, call: F, handles: Handles<Req, Res>) -> Self
    where
        Req: Message,
        Res: Send + 'static,
        F: Fn(tonic::Request<Req>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<tonic::Response<St>, Status>> + Send + 'static,
        St: Stream<Item = Result<Res, Status>> + Send + 'static,
    {
        Self { rule, endpoint: Arc::new(Streaming { rule, call, handles, stream: PhantomData }) }
    }

    pub(super) fn call(&self, call: Call) -> Answer {
        self.endpoint.call(call)
    }
}

/// The answer of a method on its way.
pub(super) type Answer = Pin<Box<dyn Future<Output = Result<Success, Box<Failure>>> + Send>>;

pub(super) trait Endpoint: Send + Sync {
    fn call(&self, call: Call) -> Answer;
}

struct Unary<Req, Res, F> {
    rule: &'static Rule,
    call: F,
    handles: Handles<Req, Res>,
}

impl<Req, Res, F, Fut> Endpoint for Unary<Req, Res, F>
where
    Req: Message,
    Res: Send + 'static,
    F: Fn(tonic::Request<Req>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<tonic::Response<Res>, Status>> + Send + 'static,
{
    fn call(&self, call: Call) -> Answer {
        let rule = self.rule;
        let Handles { write, created, tag, .. } = self.handles;
        let request = match request(rule, call, &self.handles) {
            Ok(request) => request,
            Err(failure) => return Box::pin(std::future::ready(Err(failure))),
        };
        let answer = (self.call)(request);
        Box::pin(async move {
            let response = answer.await.map_err(|status| refused(rule, &status))?;
            let (metadata, message, extensions) = response.into_parts();
            let success = if created.is_some_and(|created| created(&message)) { 201 } else { rule.success };
            let mut tag = rule.etag.and(tag).and_then(|tag| tag(&message)).filter(|tag| !tag.is_empty());
            let content = if rule.empty_body {
                Content::None
            } else {
                let payload = write(message, rule.response, &rule.info.surface.habits).map_err(unprintable)?;
                if rule.etag.is_some_and(|etag| etag.digest) {
                    tag = Some(etag::digest(&payload.bytes));
                }
                Content::Whole(payload)
            };
            let status = StatusCode::from_u16(success).unwrap_or_default();
            Ok(Success { status, metadata, extensions, content, tag })
        })
    }
}

/// The request of a method, decoded.
pub(super) fn request<Req: Message, Res>(
    rule: &'static Rule,
    call: Call,
    handles: &Handles<Req, Res>,
) -> Result<tonic::Request<Req>, Box<Failure>> {
    let message = bind::message::<Req>(rule, &call, handles.mask, handles.upload);
    let message = message.map_err(|fault| undecodable(rule, fault))?;
    Ok(tonic::Request::from_http(http::Request::from_parts(call.parts, message)))
}

fn undecodable(rule: &'static Rule, fault: Fault) -> Box<Failure> {
    // A text that does not even read as a tag is not the tag of any resource.
    let is_tag = fault.place == Place::Header && fault.path() == http::header::IF_MATCH.as_str();
    if is_tag && fault.kind != FaultKind::Conflict {
        return etag::failed();
    }
    Box::new(Failure::fault(fault).by_reason(rule.status))
}

/// The failure of a service.
pub(super) fn refused(rule: &Rule, status: &Status) -> Box<Failure> {
    Box::new(Failure::of_status(Origin::Service, status, rule.status))
}

pub(super) fn unprintable(why: Unprintable) -> Box<Failure> {
    let text = format!("the answer holds {why}");
    Box::new(Failure::new(Origin::Server, tonic::Code::Internal, "ANSWER_UNPRINTABLE", text))
}
