//! REST calls, from an HTTP request to the service's method and back.

mod bind;
mod route;
mod service;

pub use route::{Binding, Body, Payload, Route, Rule, json};
pub use service::{Answered, Matched, ResponseBody, Rest, RestBuilder};
