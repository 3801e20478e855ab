//! How long a call may take until it responds. The caller may ask for less with `grpc-timeout` or `X-Server-Timeout`.

use std::{
    future::Future,
    pin::pin,
    time::{Duration, Instant},
};

use axum::body::Body;
use http::{Request, Response};
use transcoder::{Deadline, rest::requested_timeout};

use super::answer::Failure;
use crate::base::{Error, Kind, error::Reason, time_limit::TimeLimit};

/// A deadline so far away that it is ignored.
const FAR: Duration = Duration::from_secs(30 * 86_400);

/// The caller's deadline for a stream, in the extensions of its request. [`Limits::timeout`](super::Limits) limits only
/// the head of a response.
#[derive(Clone, Copy, Debug)]
pub struct Until(pub Instant);

/// Runs the rest of the call until its deadline, which it stores in the extensions.
pub(super) async fn run<F>(
    request: &mut Request<Body>,
    most: Duration,
    call: impl FnOnce(Request<Body>) -> F,
) -> Result<Response<Body>, Failure>
where
    F: Future<Output = Result<Response<Body>, Failure>>,
{
    let (now, requested) = (Instant::now(), requested_timeout(request.headers()));
    // A call that waits extends the limit, but not what its caller asked for.
    let limit = TimeLimit::new(now + most).within(requested.and_then(|requested| now.checked_add(requested)));
    let deadline = limit.at();
    let mut request = std::mem::take(request);
    // No stream is open for so long that a later one would matter.
    if let Some(until) = requested.filter(|requested| *requested < FAR).and_then(|requested| now.checked_add(requested))
    {
        request.extensions_mut().insert(Until(until));
    }
    request.extensions_mut().insert(Deadline(deadline));
    request.extensions_mut().insert(limit.clone());
    let (mut call, mut deadline) = (pin!(call(request)), deadline);
    loop {
        match tokio::time::timeout_at(deadline.into(), &mut call).await {
            Ok(response) => return response,
            Err(_) if limit.at() > deadline => deadline = limit.at(),
            Err(_) => {
                let error = Error::new(Kind::DeadlineExceeded, Reason::DeadlineExceeded, "the call took too long");
                return Err(Failure::Call(error));
            }
        }
    }
}
