//! How long a call may take, from `grpc-timeout` or `X-Server-Timeout`.

use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue};

static GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
static SERVER_TIMEOUT: HeaderName = HeaderName::from_static("x-server-timeout");

/// When a call must have responded; in the extensions of the request that the service sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(pub Instant);

/// The timeout that the client asks for. `grpc-timeout` has at most eight digits and a unit (gRPC over HTTP/2),
/// `X-Server-Timeout` has seconds, with an optional fraction. Values that cannot be parsed are ignored.
pub fn requested_timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    text(&GRPC_TIMEOUT).and_then(grpc_timeout).or_else(|| text(&SERVER_TIMEOUT).and_then(seconds))
}

/// Whether there is a `grpc-timeout` that cannot be parsed, or more than one. REST ignores it; for gRPC the server
/// decides.
pub fn has_unreadable_timeout(headers: &HeaderMap) -> bool {
    let mut given = headers.get_all(&GRPC_TIMEOUT).iter();
    let readable = |value: &HeaderValue| value.to_str().ok().and_then(grpc_timeout).is_some();
    given.next().is_some_and(|first| !readable(first) || given.next().is_some())
}

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
        let given = |texts: &[&'static str]| {
            texts.iter().map(|text| (GRPC_TIMEOUT.clone(), HeaderValue::from_static(text))).collect::<HeaderMap>()
        };
        assert!(!has_unreadable_timeout(&given(&[])) && !has_unreadable_timeout(&given(&["250m"])));
        for bad in [&["soon"][..], &["-1S"], &[""], &["1S", "2S"], &["1S, 2S"]] {
            assert!(has_unreadable_timeout(&given(bad)), "{bad:?}");
        }
        assert_eq!(seconds("1.5"), Some(Duration::from_millis(1500)));
        for bad in ["", "0", "-1", "NaN", "inf", "1e300", "soon"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }
}
