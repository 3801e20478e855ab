//! The tonic services, one folder a surface, one file a service. Thin: one message in, one verb, one message out.

pub mod messaging;

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
    outcome.map(Response::new).map_err(|mut error| {
        if let Some(cause) = &error.cause {
            tracing::error!(request_id = cx.request_id, rpc = cx.rpc, cause = cause.as_ref(), "the call failed");
        }
        if error.kind == Kind::Internal {
            error = Error { message: format!("internal error; request id {}", cx.request_id).into(), ..error };
        }
        error.to_status()
    })
}
