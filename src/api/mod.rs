//! The tonic services, one folder a surface, one file a service. Thin: one message in, one verb, one message out.

pub mod controlplane;
pub mod manager;
pub mod messaging;
pub mod warehouse;
pub mod zerotrust;

use prost_types::Timestamp;
use time::OffsetDateTime;
use tonic::{Request, Response, Status};

use crate::base::{Cx, Error, Kind, Result};

/// Takes a request apart: its context, which the guard left there, and its message.
fn take<T>(request: Request<T>) -> Result<(Cx, T), Status> {
    let (_, extensions, message) = request.into_parts();
    match Cx::of(&extensions) {
        Ok(cx) => Ok((cx, message)),
        Err(error) => {
            tracing::error!(cause = error.cause.as_deref(), "a service was called without its guard");
            Err(error.to_status())
        }
    }
}

/// Makes the answer of a call. This is the boundary where the cause of an error is logged, once, and lost.
fn answer<T>(cx: &Cx, outcome: Result<T>) -> Result<Response<T>, Status> {
    outcome.map(Response::new).map_err(|error| {
        log(cx, &error);
        if error.kind == Kind::Internal {
            let message = format!("internal error; request id {}", cx.request_id).into();
            return Error { message, ..error }.to_status();
        }
        error.to_status()
    })
}

/// A moment as messages have it.
fn timestamp(at: OffsetDateTime) -> Timestamp {
    // Nanoseconds are below a thousand million.
    Timestamp { seconds: at.unix_timestamp(), nanos: at.nanosecond() as i32 }
}

/// Logs the cause: our own failures are errors, the callers' are of interest to those who look for them.
fn log(cx: &Cx, error: &Error) {
    let Some(cause) = error.cause.as_deref() else { return };
    let (request_id, rpc, reason) = (cx.request_id.as_str(), cx.rpc, error.reason_name());
    match error.kind {
        Kind::Internal | Kind::Unknown | Kind::DataLoss | Kind::Unavailable => {
            tracing::error!(request_id, rpc, reason, cause = cause as &dyn std::error::Error, "the call failed");
        }
        _ => tracing::debug!(request_id, rpc, reason, cause = cause as &dyn std::error::Error, "the call was refused"),
    }
}
