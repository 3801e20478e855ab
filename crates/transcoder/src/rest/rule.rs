//! A rule of `google.api.http`, and a request that matched one.

use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;

use super::etag::EtagRule;
use crate::{MethodInfo, json::RequestPart, router::Template};

/// A rule, as the build read it. Generated, one `static` for each rule.
#[derive(Debug)]
pub struct Rule {
    /// HTTP method; `*` is any method.
    pub method: &'static str,
    /// Path template.
    pub template: Template,
    /// The RPC.
    pub info: &'static MethodInfo,
    /// How the request message is bound.
    pub binding: Binding,
    /// Index of the response field that is sent; `None` for the whole message.
    pub response: Option<usize>,
    /// Status of success.
    pub success: u16,
    /// A success has no body.
    pub empty_body: bool,
    /// HTTP status by error reason, where it differs from the code's.
    pub status: &'static [(&'static str, u16)],
    /// The response is a stream.
    pub stream: bool,
    /// The response is raw bytes, in a `google.api.HttpBody`.
    pub raw_answer: bool,
    /// Responses have an entity tag.
    pub etag: Option<EtagRule>,
    /// Path of the request field that takes Last-Event-ID.
    pub resume: Option<&'static str>,
}

/// The rule that a request matched, in the extensions of the request that the guard and the service see, if
/// [`RestBuilder::with_facts`](crate::RestBuilder::with_facts) was called.
#[derive(Clone, Copy, Debug)]
pub struct Matched {
    /// The RPC.
    pub method: &'static MethodInfo,
    /// The path template.
    pub template: &'static str,
}

/// How the request message is bound.
#[derive(Debug)]
pub struct Binding {
    /// What the body is.
    pub body: Body,
    /// Field paths that query keys must not name: those that the path and the body bind.
    pub taken: &'static [&'static str],
    /// Fields that the body does not have may come from the query; otherwise fields of the body must not.
    pub body_or_query: bool,
    /// A request without a body is refused, even with a query.
    pub body_required: bool,
    /// Field paths whose booleans are parsed leniently in the query.
    pub lenient: &'static [&'static str],
    /// Proto name of the field mask that is filled with the body's members if the caller left it empty.
    pub mask: Option<&'static str>,
}

/// What the body of a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Not read.
    None,
    /// The request message.
    Whole,
    /// A field of the request message.
    Field {
        /// Index of the field.
        index: usize,
        /// Proto name of the field.
        name: &'static str,
    },
    /// Raw bytes of any media type, in a `google.api.HttpBody`.
    Raw {
        /// Proto name of the field; `None` for the request message itself.
        name: Option<&'static str>,
    },
}

impl Body {
    /// The field that is the body, if any.
    pub fn field(self) -> Option<&'static str> {
        match self {
            Self::Field { name, .. } => Some(name),
            Self::Raw { name } => name,
            Self::None | Self::Whole => None,
        }
    }
}

impl Rule {
    /// The facts about the matched rule for the extensions.
    pub(super) fn matched(&self) -> Matched {
        Matched { method: self.info, template: self.template.text }
    }

    /// The part of the request that holds a field, by its path in proto names.
    pub fn part_of(&self, field: &str) -> RequestPart {
        if self.template.variables.iter().any(|variable| variable.field == field) {
            return RequestPart::Path;
        }
        let in_body = match self.binding.body.field() {
            Some(name) => field.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')),
            None => self.binding.body != Body::None,
        };
        if in_body { RequestPart::Body } else { RequestPart::Query }
    }
}

/// A request with its rule and its body.
#[derive(Debug)]
pub(super) struct Call {
    pub parts: Parts,
    pub body: Bytes,
    /// The tag of If-Match for the service.
    pub tag: Option<String>,
    /// The tags of If-None-Match for the service.
    pub known: Vec<String>,
    /// How long to wait for the first message of a stream before the head of the response is sent.
    pub patience: Duration,
}
