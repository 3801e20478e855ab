//! The tonic services, one folder a surface, one file a service. Thin: one message in, one verb, one message out.

pub mod controlplane;
pub mod manager;
pub mod messaging;
pub mod warehouse;
pub mod zerotrust;

use std::time::Duration;

use futures::{StreamExt, stream};
use prost_types::Timestamp;
use time::OffsetDateTime;
use tonic::{Request, Response, Status};
use transcoder::pages;

use crate::{
    base::{Cx, Error, Kind, Result, error::Reason},
    store::Pages,
};

/// How long a further page of a list may take to be read.
const PAGE: Duration = Duration::from_secs(30);

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

/// Makes the answer of a list: its first page, and the further ones as they are asked for. `message` makes one of a page.
fn listed<T, M>(
    cx: &Cx,
    list: Result<Pages<T>>,
    mut message: impl FnMut(Vec<T>) -> M + Send + 'static,
) -> Result<Response<M>, Status>
where
    T: Send + 'static,
    M: 'static,
{
    let Pages { first, rest } = match list {
        Ok(list) => list,
        Err(error) => return answer(cx, Err(error)),
    };
    let first = Response::new(message(first));
    let Some(rest) = rest else { return Ok(first) };
    let cx = cx.clone();
    let pages = stream::unfold(rest, |mut rest| async move {
        // The peer's own time does not count.
        let page = tokio::time::timeout(PAGE, rest.next()).await.unwrap_or_else(|_| Some(Err(late())));
        page.map(|page| (page, rest))
    });
    let pages = pages.map(move |page| {
        if let Err(error) = &page {
            let (request_id, rpc, reason) = (cx.request_id.as_str(), cx.rpc, error.reason_name());
            tracing::warn!(request_id, rpc, reason, "a list was not finished");
        }
        answer(&cx, page.map(&mut message)).map(Response::into_inner)
    });
    Ok(pages::followed(first, pages))
}

fn late() -> Error {
    Error::new(Kind::DeadlineExceeded, Reason::DeadlineExceeded, "a page of the list took too long")
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
