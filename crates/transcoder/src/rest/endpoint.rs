//! The method behind a rule: how its request is decoded and its responses are written.

use std::{future::Future, pin::Pin};

use http::{StatusCode, request::Parts};

use super::{
    bind::{self, Mask, Upload},
    content::Content,
    etag,
    pages::Paged,
    payload::Payload,
    rule::{Call, Rule},
};
use crate::{
    failure::Failure,
    json::{DecodeError, DecodeErrorKind, EncodeError, JsonOptions, Message, RequestPart},
};

/// Writes a response.
pub(super) type Write<Res> = fn(Res, Option<usize>, &JsonOptions) -> Result<Payload, EncodeError>;

/// Reads a text from a response.
pub(super) type ReadText<Res> = Option<fn(&Res) -> Option<String>>;

/// The functions of a route for the messages of its method. Generated; `None` if the options do not need it.
#[derive(Debug)]
pub struct MethodHooks<Req, Res> {
    /// Writes the response, or the field of it that is the response.
    pub write: Write<Res>,
    /// The bool that reports a creation.
    pub created: Option<fn(&Res) -> bool>,
    /// The mask that is filled with the members of the body.
    pub mask: Option<Mask<Req>>,
    /// Stores raw bytes.
    pub upload: Option<Upload<Req>>,
    /// The entity tag of a response.
    pub tag: ReadText<Res>,
    /// The event id of a message.
    pub event_id: ReadText<Res>,
    /// The event type of a message.
    pub event_type: ReadText<Res>,
    /// The list of a response that may have several pages.
    pub paged: Option<Paged<Res>>,
}

impl<Req, Res> MethodHooks<Req, Res> {
    /// Only writes the response.
    pub const fn new(write: Write<Res>) -> Self {
        Self {
            write,
            created: None,
            mask: None,
            upload: None,
            tag: None,
            event_id: None,
            event_type: None,
            paged: None,
        }
    }
}

/// The response of a method.
pub(super) struct Success {
    pub status: StatusCode,
    pub metadata: tonic::metadata::MetadataMap,
    pub extensions: http::Extensions,
    pub content: Content,
    /// The entity tag of the resource.
    pub tag: Option<String>,
}

/// The pending response of a method.
pub(super) type Answer = Pin<Box<dyn Future<Output = Result<Success, Box<Failure>>> + Send>>;

pub(super) trait Endpoint: Send + Sync {
    fn call(&self, call: Call) -> Answer;

    /// Fails if no body could make a valid request with this head.
    fn check_head(&self, parts: &Parts) -> Result<(), Box<Failure>>;
}

/// Fails if the query or the path cannot be bound to the request of a method.
pub(super) fn check_head<Req: Message>(rule: &'static Rule, parts: &Parts) -> Result<(), Box<Failure>> {
    bind::head::<Req>(rule, parts).map_err(|error| undecodable(rule, error))
}

/// The request of a method, decoded.
pub(super) fn request<Req: Message, Res>(
    rule: &'static Rule,
    call: Call,
    handles: &MethodHooks<Req, Res>,
) -> Result<tonic::Request<Req>, Box<Failure>> {
    let message = bind::message::<Req>(rule, &call, handles.mask, handles.upload);
    let message = message.map_err(|error| undecodable(rule, error))?;
    Ok(tonic::Request::from_http(http::Request::from_parts(call.parts, message)))
}

fn undecodable(rule: &'static Rule, error: DecodeError) -> Box<Failure> {
    // A text that cannot be parsed as a tag cannot match any resource.
    let is_tag = error.part == RequestPart::Header && error.path() == http::header::IF_MATCH.as_str();
    if is_tag && error.kind != DecodeErrorKind::Conflict {
        return etag::failed();
    }
    Box::new(Failure::decode(error).by_reason(rule.status))
}
