//! The services of `proto-rules/` as handlers, with their own context and error types.

use http::Extensions;
use tonic::{Code, Status, metadata::MetadataMap};
use transcoder::handler::Context;

include!(concat!(env!("OUT_DIR"), "/handlers/transcoder.rs"));

/// The context of a call: the header `x-caller`.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who calls.
    pub caller: String,
}

/// The error of a handler.
#[derive(Clone, Debug)]
pub struct Refused(pub String);

impl Context for Call {
    type Error = Refused;

    fn of(_: &Extensions, metadata: &MetadataMap) -> Result<Self, Status> {
        let caller = metadata.get("x-caller").and_then(|value| value.to_str().ok());
        caller.map(|caller| Self { caller: caller.to_owned() }).ok_or_else(|| Status::unauthenticated("who calls?"))
    }

    fn status(&self, Refused(why): Refused) -> Status {
        Status::new(Code::FailedPrecondition, format!("{why}, {}", self.caller))
    }
}
