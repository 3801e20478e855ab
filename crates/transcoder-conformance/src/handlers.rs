//! The services of `proto-rules/` as handlers, with a context and an error of their own.

use http::Extensions;
use tonic::{Code, Status, metadata::MetadataMap};
use transcoder::handler::Context;

include!(concat!(env!("OUT_DIR"), "/handlers/transcoder.rs"));

/// The context of a call: what the header `x-caller` says.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who calls.
    pub caller: String,
}

/// Why a handler fails.
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
