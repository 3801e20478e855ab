//! REST calls, from an HTTP request to the method of the service and back.

mod accept;
mod answer;
mod bind;
mod body;
mod builder;
mod content;
mod deadline;
mod endpoint;
mod etag;
mod pages;
mod payload;
mod read;
mod route;
mod rule;
mod service;
mod stream;
mod streaming;
mod unary;

pub use answer::CallOutcome;
#[cfg(feature = "compression")]
pub(crate) use answer::{Streamed, UnknownLength};
pub use body::{IncompleteBody, ResponseBody};
pub use builder::RestBuilder;
pub use deadline::{Deadline, has_unreadable_timeout, requested_timeout};
pub use endpoint::MethodHooks;
#[cfg(feature = "compression")]
pub(crate) use etag::CODINGS;
pub use etag::{EtagRule, etag_mismatch};
pub use pages::Paged;
pub use payload::{Payload, json, value};
pub use route::Route;
pub use rule::{Binding, Body, Matched, Rule};
pub use service::Rest;
