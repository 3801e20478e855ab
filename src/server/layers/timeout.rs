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

/// A deadline that is as good as none.
const FAR: Duration = Duration::from_secs(30 * 86_400);

/// When the caller wants a stream to be over, in the extensions of its request. [`Limits::timeout`](super::Limits) bounds the
/// head of an answer alone.
#[derive(Clone, Copy, Debug)]
pub struct Until(pub Instant);

/// Runs the rest of the call until its deadline, which it leaves in the extensions.
pub(super) async fn run<F>(
    request: &mut Request<Body>,
    most: Duration,
    call: impl FnOnce(Request<Body>) -> F,
) -> Result<Response<Body>, Failure>
where
    F: Future<Output = Result<Response<Body>, Failure>>,
{
    let (now, asked) = (Instant::now(), asked(request.headers()));
    let deadline = now + asked.map_or(most, |asked| asked.min(most));
    let mut request = std::mem::take(request);
    // No stream is open for so long that one further away would matter.
    if let Some(until) = asked.filter(|asked| *asked < FAR).and_then(|asked| now.checked_add(asked)) {
        request.extensions_mut().insert(Until(until));
    }
    request.extensions_mut().insert(Deadline(deadline));
    tokio::time::timeout_at(deadline.into(), call(request)).await.unwrap_or_else(|_| {
        let error = Error::new(Kind::DeadlineExceeded, Reason::DeadlineExceeded, "the call took too long");
        Err(Failure::Call(error))
    })
}
