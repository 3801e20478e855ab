//! A rule of `google.api.http`, and a request that is known to be under one.

use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;

use super::etag::EtagRule;
use crate::{MethodInfo, json::Place, router::Template};

/// A rule, as the build found it. Generated, one `static` a rule.
#[derive(Debug)]
pub struct Rule {
    /// HTTP method; `*` stands for any.
    pub method: &'static str,
    /// Path template.
    pub template: Template,
    /// The RPC.
    pub info: &'static MethodInfo,
    /// How the request message is bound.
    pub binding: Binding,
    /// Index of the response field that is the answer; `None` for the whole message.
    pub response: Option<usize>,
    /// Status of success.
    pub success: u16,
    /// A success has no body.
    pub empty_body: bool,
    /// HTTP status by error reason, where it differs from the code's.
    pub status: &'static [(&'static str, u16)],
    /// The answer is a stream.
    pub stream: bool,
    /// The answer is raw bytes, in a `google.api.HttpBody`.
    pub raw_answer: bool,
    /// Answers carry an entity tag.
    pub etag: Option<EtagRule>,
    /// Path of the field of the request that is given Last-Event-ID.
    pub resume: Option<&'static str>,
}

/// Which rule a request matched; in the extensions of the request that the guard and the service see, if
/// [`RestBuilder::with_facts`](crate::RestBuilder::with_facts) asked for it.
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
    /// Field paths that no query key may name: what the path binds, and the body.
    pub taken: &'static [&'static str],
    /// What the body does not give may come from the query; without it, what the body could give may not.
    pub body_or_query: bool,
    /// A request without a body is refused, whatever the query gives.
    pub body_required: bool,
    /// Field paths whose booleans are read leniently from the query.
    pub lenient: &'static [&'static str],
    /// Proto name of the field mask that is filled with the body's members where the caller left it empty.
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
        /// Its index.
        index: usize,
        /// Its proto name.
        name: &'static str,
    },
    /// Raw bytes of any media type, in a `google.api.HttpBody`.
    Raw {
        /// Proto name of the field that it is; `None` if it is the request message.
        name: Option<&'static str>,
    },
}

impl Body {
    /// The one field that the body is.
    pub fn field(self) -> Option<&'static str> {
        match self {
            Self::Field { name, .. } => Some(name),
            Self::Raw { name } => name,
            Self::None | Self::Whole => None,
        }
    }
}

impl Rule {
    /// What a request is told of the rule that it matched.
    pub(super) fn matched(&self) -> Matched {
        Matched { method: self.info, template: self.template.text }
    }

    /// Where a caller gives the field of a path in proto names.
    pub fn place_of(&self, field: &str) -> Place {
        if self.template.variables.iter().any(|variable| variable.field == field) {
            return Place::Path;
        }
        let in_body = match self.binding.body.field() {
            Some(name) => field.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')),
            None => self.binding.body != Body::None,
        };
        if in_body { Place::Body } else { Place::Query }
    }
}

/// A request whose rule is known and whose body is read.
#[derive(Debug)]
pub(super) struct Call {
    pub parts: Parts,
    pub body: Bytes,
    /// The tag of If-Match that the service is given.
    pub tag: Option<String>,
    /// How long the first message of a stream is awaited before the head of the answer is sent.
    pub patience: Duration,
}
