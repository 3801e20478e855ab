//! REST calls, from an HTTP request to the service's method and back.

mod bind;
mod route;
mod rule;
mod service;

pub use route::{Payload, Route, json};
pub use rule::{Binding, Body, Rule};
pub use service::{Answered, Matched, ResponseBody, Rest, RestBuilder};
