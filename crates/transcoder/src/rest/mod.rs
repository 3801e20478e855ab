//! REST calls, from an HTTP request to the service's method and back.

mod accept;
mod answer;
mod bind;
mod body;
mod deadline;
mod etag;
mod read;
mod route;
mod rule;
mod service;
mod stream;
mod streaming;

pub(crate) use answer::headers_of;
pub use body::{Broken, ResponseBody};
pub use deadline::{Deadline, asked};
#[cfg(feature = "compression")]
pub(crate) use etag::CODINGS;
pub use etag::{EtagRule, etag_mismatch};
pub use route::{Handles, Payload, Route, json, value};
pub use rule::{Binding, Body, Rule};
pub use service::{Answered, Matched, Rest, RestBuilder};
