//! The host of a request: it must be given exactly once, in a valid form (RFC 9112, section 3.2; RFC 9113, section
//! 8.3.1). Ambiguous ones are refused, because a proxy in front of us could read them as another host.

use axum::body::Body;
use http::{Request, Version, header::HOST};
use transcoder::Origin;

use super::answer::Failure;
use crate::base::Kind;

/// Refuses a request whose host is missing, given twice, or malformed.
pub(super) fn check(request: &Request<Body>) -> Result<(), Failure> {
    let mut told = request.headers().get_all(HOST).iter();
    let (host, more) = (told.next(), told.next().is_some());
    let called = request.uri().authority().map(http::uri::Authority::as_str);
    if more {
        return Err(malformed("send the Host header only once"));
    }
    let Some(host) = host else {
        let required = request.version() == Version::HTTP_11;
        return if required { Err(malformed("the Host header is missing")) } else { valid(called) };
    };
    let host = host.to_str().ok().filter(|host| is_host(host));
    let host = host.ok_or_else(|| malformed("the Host header must be a host with an optional port"))?;
    valid(called)?;
    // On HTTP/1.1 the target of the request takes precedence.
    match called.filter(|_| request.version() == Version::HTTP_2) {
        Some(called) if !bare(called).eq_ignore_ascii_case(bare(host)) => {
            Err(malformed("the Host header differs from :authority"))
        }
        _ => Ok(()),
    }
}

fn valid(called: Option<&str>) -> Result<(), Failure> {
    match called {
        Some(called) if !is_host(called) => {
            Err(malformed("the request target must contain a host with an optional port"))
        }
        _ => Ok(()),
    }
}

/// Whether a text is `uri-host [ ":" port ]` of RFC 3986. The host may be empty, like that of a target without one.
fn is_host(text: &str) -> bool {
    if text.starts_with(':') {
        return false;
    }
    let (host, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((literal, rest))) => {
            return is_literal(literal) && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port));
        }
        Some(None) => return false,
        None => text.split_once(':').unwrap_or((text, "")),
    };
    is_name(host.as_bytes()) && is_port(port)
}

fn is_port(text: &str) -> bool {
    text.is_empty() || (text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok())
}

fn is_literal(text: &str) -> bool {
    // An address of a later IP version starts with `v`.
    let later = text.strip_prefix(['v', 'V']).is_some_and(|later| later.contains('.') && is_plain(later));
    later || text.parse::<std::net::Ipv6Addr>().is_ok()
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:".contains(&b))
}

/// `reg-name`, which includes IPv4 addresses.
fn is_name(mut text: &[u8]) -> bool {
    while let Some((first, rest)) = text.split_first() {
        text = match first {
            b'%' if rest.len() > 1 && rest[..2].iter().all(u8::is_ascii_hexdigit) => &rest[2..],
            b if b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(b) => rest,
            _ => return false,
        };
    }
    true
}

/// The host without an empty port.
fn bare(host: &str) -> &str {
    [":80", ":443", ":"].into_iter().find_map(|port| host.strip_suffix(port)).unwrap_or(host)
}

fn malformed(text: &str) -> Failure {
    let failure = transcoder::Failure::new(Origin::Decode, Kind::InvalidArgument, "HOST_MALFORMED", text);
    Failure::Rest(Box::new(failure))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_distinguished_from_other_texts() {
        for host in
            ["", "a", "a.b-c_d:80", "127.0.0.1:8080", "[::1]", "[2001:db8::7]:443", "a:", "a:65535", "a%2Fb", "[v1.x]"]
        {
            assert!(is_host(host), "{host}");
        }
        for not in [
            "a b",
            "a/b",
            "u@a",
            "a b/@",
            "a:b",
            "a:80:80",
            "[::1",
            "[::1]x",
            "[x]",
            "a%2",
            "a\"b",
            "\u{e9}",
            ":",
            ":80",
            "a:65536",
            "[::1]:99999",
        ] {
            assert!(!is_host(not), "{not}");
        }
    }

    #[test]
    fn exactly_one_host_is_required() {
        let refused = |version: Version, uri: &str, hosts: &[&str]| {
            let request = Request::builder().version(version).uri(uri);
            let request = hosts.iter().fold(request, |request, host| request.header(HOST, *host));
            check(&request.body(Body::empty()).unwrap()).is_err()
        };
        let (old, one, two) = (Version::HTTP_10, Version::HTTP_11, Version::HTTP_2);
        assert!(refused(one, "/", &[]) && !refused(one, "/", &["a"]) && !refused(old, "/", &[]));
        for version in [old, one, two] {
            assert!(refused(version, "/", &["a", "a"]) && refused(version, "/", &["a b"]), "{version:?}");
        }
        assert!(refused(one, "http://a/", &[]) && !refused(one, "http://a/", &["b"]));
        assert!(!refused(two, "http://a/", &[]) && !refused(two, "http://a:80/", &["A"]));
        assert!(refused(two, "http://a/", &["b"]) && refused(two, "http://u@a/", &[]));
    }
}
