//! How long a call may take until it answers. The caller may ask for less with `grpc-timeout` or `X-Server-Timeout`.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use axum::body::Body;
use http::{Request, Response};
use transcoder::{Deadline, rest::asked};

use super::answer::Failure;
use crate::base::{Error, Kind, error::Reason};

/// Runs the rest of the call until its deadline, which it leaves in the extensions.
pub(super) async fn run<F>(
    request: &mut Request<Body>,
    most: Duration,
    call: impl FnOnce(Request<Body>) -> F,
) -> Result<Response<Body>, Failure>
where
    F: Future<Output = Result<Response<Body>, Failure>>,
{
    let time = asked(request.headers()).map_or(most, |asked| asked.min(most));
    let deadline = Instant::now() + time;
    let mut request = std::mem::take(request);
    request.extensions_mut().insert(Deadline(deadline));
    tokio::time::timeout_at(deadline.into(), call(request)).await.unwrap_or_else(|_| {
        let error = Error::new(Kind::DeadlineExceeded, Reason::DeadlineExceeded, "the call took too long");
        Err(Failure::Call(error))
    })
}
