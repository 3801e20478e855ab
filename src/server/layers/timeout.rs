//! How long a call may take until it answers. The caller may ask for less with `grpc-timeout` or `X-Server-Timeout`.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use axum::body::Body;
use http::{HeaderMap, Request, Response};

use super::answer::Failure;
use crate::{
    auth::Deadline,
    base::{Error, Kind, error::Reason},
};

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

/// The time that the caller gives; what cannot be read is as good as not given.
fn asked(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    text("grpc-timeout").and_then(grpc_timeout).or_else(|| text("x-server-timeout").and_then(seconds))
}

/// At most eight digits and a unit (the gRPC protocol over HTTP/2).
fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let plain = (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let number: u64 = plain.then(|| digits.parse().ok()).flatten()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// Seconds, with a fraction if need be.
fn seconds(text: &str) -> Option<Duration> {
    text.parse()
        .ok()
        .filter(|seconds: &f64| *seconds > 0.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_of_both_kinds_are_read() {
        assert_eq!(grpc_timeout("250m"), Some(Duration::from_millis(250)));
        assert_eq!(grpc_timeout("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for bad in ["", "m", "1", "123456789S", "-1S", "+1S", "1.5S", "1x", "1é"] {
            assert_eq!(grpc_timeout(bad), None, "{bad}");
        }
        assert_eq!(seconds("1.5"), Some(Duration::from_millis(1500)));
        for bad in ["", "0", "-1", "NaN", "inf", "1e300", "soon"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }
}
