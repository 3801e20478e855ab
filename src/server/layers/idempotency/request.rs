//! A request with a key: the key, its owner, and everything that its response depends on.

use axum::body::Body;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, Request,
    header::{CONTENT_ENCODING, CONTENT_TYPE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE},
    request::Parts,
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use transcoder::{Deadline, Origin, percent::canonical_path};

use super::Failure;
use crate::base::{Caller, KeyedCall, Kind, TenantId, digest::sha256_hex};

/// The header with the key.
pub(super) const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Maximum length of a key, in characters.
const MAX_KEY: usize = 255;
/// The headers with the caller's timeout, which does not limit how long the call may run.
const WAITS: [HeaderName; 2] = [HeaderName::from_static("grpc-timeout"), HeaderName::from_static("x-server-timeout")];
/// The headers that a response depends on: how the body is read, and conditions. Accept is not one of them: it chooses
/// the form of streams, which are not stored, and content codings are applied outside of this layer.
const MATTERS: [HeaderName; 6] =
    [CONTENT_TYPE, CONTENT_ENCODING, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE];

/// A request with a key.
pub(super) struct Keyed {
    pub call: KeyedCall,
    /// The tenant whose key seals the response.
    pub tenant: Option<TenantId>,
}

/// Reads the body, and prepares the request to run whether or not the caller waits.
pub(super) async fn read(
    caller: &Caller,
    key: &str,
    mut parts: Parts,
    body: Body,
    most: usize,
) -> Result<(Keyed, Request<Body>), Failure> {
    let body = read_body(body, most).await?;
    let keyed = Keyed::of(caller, key, &parts, &body);
    for name in WAITS {
        parts.headers.remove(name);
    }
    parts.extensions.remove::<Deadline>();
    parts.extensions.insert(keyed.call.clone());
    Ok((keyed, Request::from_parts(parts, Body::from(body))))
}

impl Keyed {
    fn of(caller: &Caller, key: &str, parts: &Parts, body: &Bytes) -> Self {
        let tenant = caller.tenant.as_ref().map(|tenant| tenant.id);
        let roles: Vec<_> = caller.roles().iter().map(|role| role.as_str()).collect();
        let who = [
            caller.kind.as_str().to_owned(),
            tenant.map(TenantId::dashed).unwrap_or_default(),
            caller.account.map(|account| account.to_string()).unwrap_or_default(),
            caller.subject.clone(),
            roles.join(","),
            caller.project.clone().unwrap_or_default(),
            // All spellings of a path are the same path.
            canonical_path(parts.uri.path()).into_owned(),
            key.to_owned(),
        ];
        // None of them contains a line break.
        let id = sha256_hex([who.join("\n").as_bytes()]);
        Self { call: KeyedCall::known_as(id, request_hash(parts, body), Some(older_hash(parts, body))), tenant }
    }
}

/// Digest of everything that the response depends on except the caller and the path.
fn request_hash(parts: &Parts, body: &Bytes) -> String {
    let mut head = format!("{}\n{}\n", parts.method, parts.uri.query().unwrap_or_default()).into_bytes();
    for name in &MATTERS {
        // Neither a query nor a header contains a line break.
        for value in parts.headers.get_all(name) {
            head.extend_from_slice(name.as_str().as_bytes());
            head.push(b':');
            head.extend_from_slice(value.as_bytes());
            head.push(b'\n');
        }
    }
    sha256_hex([head.as_slice(), b"\n", body])
}

/// The same as computed by the previous version, from the query and the body. Stored digests of that version are
/// compared with it, so that a repetition during a rolling update is not refused as another request.
fn older_hash(parts: &Parts, body: &Bytes) -> String {
    sha256_hex([parts.uri.query().unwrap_or_default().as_bytes(), b"\n", body])
}

/// The key of a call: 1 to 255 visible ASCII characters.
pub(super) fn read_key(headers: &HeaderMap) -> Result<String, Failure> {
    let mut all = headers.get_all(KEY).iter();
    let key = match (all.next(), all.next()) {
        (Some(key), None) => key.as_bytes(),
        _ => &[],
    };
    if (1..=MAX_KEY).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic) {
        return Ok(String::from_utf8_lossy(key).into_owned());
    }
    let text = format!("send Idempotency-Key once, with 1 to {MAX_KEY} visible ASCII characters");
    Err(malformed("IDEMPOTENCY_KEY_INVALID", text))
}

/// The body of a call, which distinguishes calls with the same key.
async fn read_body(body: Body, most: usize) -> Result<Bytes, Failure> {
    match Limited::new(body, most).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Failure::Rest(Box::new(transcoder::Failure::too_large(most))))
        }
        Err(_) => Err(malformed("BODY_INCOMPLETE", "the body ended before it was complete")),
    }
}

fn malformed(reason: &str, text: impl Into<String>) -> Failure {
    Failure::Rest(Box::new(transcoder::Failure::new(Origin::Decode, Kind::InvalidArgument, reason, text)))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn key(values: &[&str]) -> Result<String, Failure> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(KEY, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        read_key(&headers)
    }

    /// The digests of a POST: for the key, and for the request.
    fn digests(caller: &Caller, path: &str, headers: &[(&str, &str)], body: &'static str) -> (String, String) {
        let mut request = Request::post(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let keyed = Keyed::of(caller, "k", &parts, &Bytes::from_static(body.as_bytes()));
        (keyed.call.id().to_owned(), keyed.call.request_hash().to_owned())
    }

    #[test]
    fn a_key_is_one_plain_word() {
        assert_eq!(key(&["a-1_~!"]).unwrap(), "a-1_~!");
        assert!(key(&["x".repeat(255).as_str()]).is_ok());
        for bad in [&[""][..], &["a b"], &["ä"], &["a", "a"], &["x".repeat(256).as_str()]] {
            assert!(matches!(key(bad), Err(Failure::Rest(failure)) if failure.status == 400), "{bad:?}");
        }
    }

    #[test]
    fn a_key_is_its_callers_and_its_paths() {
        const PATH: &str = "/v1/admin/groups/lifecycle";
        let (system, nobody) = (Caller::system(), Caller::new(crate::base::caller::CallerFacts::default()));
        let first = digests(&system, PATH, &[], "{}");
        assert_eq!(first, digests(&system, PATH, &[], "{}"));
        assert_ne!(first.0, digests(&nobody, PATH, &[], "{}").0);
        assert_eq!(first, digests(&system, "/v1/%61dmin/groups/lifecycle", &[], "{}"), "another spelling is one path");
        assert_ne!(first.0, digests(&system, "/v1/admin/api-keys", &[], "{}").0);
        for (path, body) in [("/v1/admin/groups/lifecycle?a=b", "{}"), (PATH, "{ }")] {
            let other = digests(&system, path, &[], body);
            assert!(other.0 == first.0 && other.1 != first.1, "{path} {body}");
        }
    }

    #[test]
    fn a_fingerprint_has_all_that_the_answer_depends_on() {
        let hash = |headers: &[(&str, &str)]| digests(&Caller::system(), "/v1/admin/api-keys", headers, "{}").1;
        let plain = hash(&[("content-type", "application/json")]);
        for other in [
            &[][..],
            &[("content-type", "text/plain")],
            &[("content-type", "application/json"), ("content-encoding", "gzip")],
            &[("content-type", "application/json"), ("if-match", "\"1\"")],
            &[("content-type", "application/json"), ("content-type", "application/json")],
        ] {
            assert_ne!(plain, hash(other), "{other:?}");
        }
        // Differences between two attempts of a request do not count.
        let again = [("content-type", "application/json"), ("accept", "*/*"), ("x-server-timeout", "1")];
        assert_eq!(plain, hash(&again));
    }
}
