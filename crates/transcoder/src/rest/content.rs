//! The content of a response: nothing, a message, a stream or a failure.

use http::HeaderValue;
use tonic::Status;

use super::{
    payload::Payload,
    rule::Rule,
    stream::{Item, Items},
};
use crate::{
    failure::{Failure, Origin},
    json::EncodeError,
};

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

/// The failure of a service.
pub(super) fn refused(rule: &Rule, status: &Status) -> Box<Failure> {
    Box::new(Failure::of_status(Origin::Service, status, rule.status))
}

pub(super) fn unprintable(why: EncodeError) -> Box<Failure> {
    let text = format!("the response contains {why}");
    Box::new(Failure::new(Origin::Server, tonic::Code::Internal, "ANSWER_UNPRINTABLE", text))
}
