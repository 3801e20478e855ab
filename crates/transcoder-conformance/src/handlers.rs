//! The services of `proto-rules/` as handlers, with their own context and error types.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use http::Extensions;
use tonic::{Code, Response, Status, metadata::MetadataMap};
use transcoder::{
    MethodInfo,
    handler::Context,
    once::{Encoded, Once, Run, Running},
};

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

    /// Calls with the same `x-once` and message are answered as the first one that succeeded.
    fn once(&self, method: &'static MethodInfo, _: &Extensions, metadata: &MetadataMap) -> Option<Box<dyn Once<Self>>> {
        let key = metadata.get("x-once")?.to_str().ok()?;
        Some(Box::new(Remembered { call: self.clone(), key: format!("{} {key}", method.path) }))
    }
}

/// A call that is remembered.
struct Remembered {
    call: Call,
    key: String,
}

/// The answers of successful calls, by key and message.
static ANSWERS: Mutex<Option<HashMap<(String, Vec<u8>), (MetadataMap, Bytes)>>> = Mutex::new(None);

impl Once<Call> for Remembered {
    fn answer(self: Box<Self>, request: Vec<u8>, run: Run<Call>) -> Running<Encoded> {
        Box::pin(async move {
            let place = (self.key, request);
            let known =
                ANSWERS.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().get(&place).cloned();
            if let Some((metadata, message)) = known {
                return Ok(Response::from_parts(metadata, message, Extensions::new()));
            }
            let answer = run(self.call).await?;
            let kept = (answer.metadata().clone(), answer.get_ref().clone());
            ANSWERS.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().insert(place, kept);
            Ok(answer)
        })
    }
}
