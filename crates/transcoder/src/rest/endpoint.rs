//! What stands behind a rule: how the request of a method is made, and what becomes of its messages.

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
    json::{Fault, FaultKind, Habits, Message, Place, Unprintable},
};

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
    /// The list of an answer that may come in pages.
    pub paged: Option<Paged<Res>>,
}

impl<Req, Res> Handles<Req, Res> {
    /// Writes the answer and does no more.
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

/// What a method answered.
pub(super) struct Success {
    pub status: StatusCode,
    pub metadata: tonic::metadata::MetadataMap,
    pub extensions: http::Extensions,
    pub content: Content,
    /// The entity tag of the resource.
    pub tag: Option<String>,
}

/// The answer of a method on its way.
pub(super) type Answer = Pin<Box<dyn Future<Output = Result<Success, Box<Failure>>> + Send>>;

pub(super) trait Endpoint: Send + Sync {
    fn call(&self, call: Call) -> Answer;

    /// Fails if no body could make a request of the method out of this head.
    fn check_head(&self, parts: &Parts) -> Result<(), Box<Failure>>;
}

/// Fails if the query or the path cannot be bound to the request of a method.
pub(super) fn check_head<Req: Message>(rule: &'static Rule, parts: &Parts) -> Result<(), Box<Failure>> {
    bind::head::<Req>(rule, parts).map_err(|fault| undecodable(rule, fault))
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
