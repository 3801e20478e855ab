//! Methods, paths and media types.

use bytes::Bytes;
use http::Request;
use http_body_util::{Empty, Full, StreamBody};
use serde_json::json;
use tokio_stream::StreamExt as _;

use super::fixture::Fixture;
use crate::support::{Answer, call, send};

fn allow(answer: &Answer) -> &str {
    answer.headers["allow"].to_str().unwrap()
}

#[tokio::test]
async fn wrong_methods_and_paths() {
    let fixture = Fixture::new();
    let answer = call(&fixture.rest, "PUT", "/strict/things/x", None).await;
    assert_eq!((answer.status.as_u16(), allow(&answer)), (405, "DELETE, GET, HEAD, OPTIONS, PATCH"));
    assert_eq!(answer.json()["oops"], "METHOD_NOT_ALLOWED");
    let answer = call(&fixture.rest, "GET", "/strict/nothing/here", None).await;
    assert_eq!((answer.status.as_u16(), answer.json()["oops"].as_str()), (404, Some("PATH_NOT_FOUND")));
    // A path without a dialect uses AIP-193.
    let answer = call(&fixture.rest, "GET", "/strictly", None).await;
    assert_eq!((answer.status.as_u16(), answer.json()["error"]["status"].as_str()), (404, Some("NOT_FOUND")));
    assert_eq!(fixture.log.take(), Vec::<String>::new());
}

#[tokio::test]
async fn head_and_options() {
    let fixture = Fixture::new();
    let get = call(&fixture.rest, "GET", "/strict/things/x", None).await;
    let head = call(&fixture.rest, "HEAD", "/strict/things/x", None).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(head.headers["content-type"], "application/json");
    assert_eq!(head.headers["content-length"], get.body.len().to_string());
    let head = call(&fixture.rest, "HEAD", "/strict/things/missing", None).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (404, 0));
    let options = call(&fixture.rest, "OPTIONS", "/strict/things", None).await;
    assert_eq!((options.status.as_u16(), allow(&options)), (204, "GET, HEAD, OPTIONS, POST"));
    assert_eq!(call(&fixture.rest, "OPTIONS", "/strict/nothing", None).await.status, 404);
}

#[tokio::test]
async fn media_types() {
    let fixture = Fixture::new();
    let post = async |kind: Option<&str>, body: &'static str| {
        let mut request = Request::post("/strict/things");
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        send(&fixture.rest, request.body(Full::new(Bytes::from(body))).unwrap()).await
    };
    for kind in
        ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/merge-patch+json"]
    {
        assert_eq!(post(Some(kind), "{}").await.status, 200, "{kind}");
    }
    for kind in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("application/jsonx"),
        Some("text/json"),
    ] {
        let answer = post(kind, "{}").await;
        assert_eq!((answer.status.as_u16(), answer.json()["oops"].as_str()), (415, Some("MEDIA_TYPE_UNSUPPORTED")));
        assert_eq!(answer.headers["accept"], "application/json");
    }
    assert_eq!(post(None, "").await.status, 200, "without a body no media type is required");
}

#[tokio::test]
async fn a_request_is_refused_by_its_head_before_the_body_is_read() {
    let fixture = Fixture::new();
    for (name, value) in [("content-type", "text/plain"), ("content-encoding", "gzip")] {
        // The body is sent only when it is polled, and a test that polls it fails.
        let asked = tokio_stream::iter([()])
            .map(|()| -> Result<http_body::Frame<Bytes>, std::convert::Infallible> { panic!("the body was read") });
        let request = Request::post("/strict/things").header("expect", "100-continue").header(name, value);
        let answer = send(&fixture.rest, request.body(StreamBody::new(asked)).unwrap()).await;
        assert_eq!(answer.status, 415, "{name}");
    }
}

#[tokio::test]
async fn the_server_as_a_whole_lists_its_methods() {
    let fixture = Fixture::new();
    let answer = call(&fixture.rest, "OPTIONS", "*", None).await;
    assert_eq!((answer.status.as_u16(), allow(&answer)), (204, "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"));
    assert_eq!(call(&fixture.rest, "GET", "*", None).await.status, 404);
}

#[tokio::test]
async fn bodies_that_are_too_large() {
    let fixture = Fixture::new();
    let large = format!("{{\"name\": \"{}\"}}", "x".repeat(5000));
    let answer = call(&fixture.rest, "POST", "/strict/things", Some(&large)).await;
    assert_eq!((answer.status.as_u16(), answer.json()["oops"].as_str()), (413, Some("BODY_TOO_LARGE")));
    // A stream without a length is limited as well.
    let frames =
        (0..100).map(|_| Ok::<_, std::convert::Infallible>(http_body::Frame::data(Bytes::from(vec![b' '; 100]))));
    let body = StreamBody::new(tokio_stream::iter(frames));
    let request = Request::post("/strict/things").header("content-type", "application/json").body(body).unwrap();
    assert_eq!(send(&fixture.rest, request).await.status, 413);
    // A GET's body is never read.
    let answer = call(&fixture.rest, "GET", "/strict/things/x", Some(&large)).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn malformed_bodies() {
    let fixture = Fixture::new();
    for (body, kind, path) in [
        ("{", "Syntax", ""),
        ("{} {}", "Syntax", ""),
        ("[]", "WrongType", ""),
        (r#"{"nope": 1}"#, "Unknown", "nope"),
        (r#"{"name": "a", "name": "b"}"#, "Duplicate", "name"),
        (r#"{"byteSize": 1.5}"#, "WrongType", "byteSize"),
        (r#"{"byteSize": 1e30}"#, "OutOfRange", "byteSize"),
        (r#"{"byteSize": 1e400}"#, "OutOfRange", ""),
        (r#"{"tags": ["a", null]}"#, "Null", "tags[1]"),
        (r#"{"counts": {"a": "x"}}"#, "WrongType", "counts.a"),
        (r#"{"owner": {"place": {"city": []}}}"#, "WrongType", "owner.place.city"),
        (
            r#"{"extra": {"@type": "x/conformance.rules.v1.Owner", "place": {"city": 1}}}"#,
            "WrongType",
            "extra.place.city",
        ),
        (r#"{"extra": {"@type": "x/nope"}}"#, "WrongType", "extra.@type"),
    ] {
        let answer = call(&fixture.rest, "POST", "/strict/things", Some(body)).await;
        let json = answer.json();
        assert_eq!((answer.status.as_u16(), &json["kind"], &json["path"]), (400, &json!(kind), &json!(path)), "{body}");
    }
}

#[tokio::test]
async fn trailing_slashes() {
    let fixture = Fixture::new();
    assert_eq!(call(&fixture.rest, "GET", "/strict/things/x/", None).await.status, 404);
    let answer = call(&fixture.rest, "GET", "/snake/things/x/?byte_size=1", None).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.headers["location"]),
        (307, &"/snake/things/x?byte_size=1".parse().unwrap())
    );
    let answer = call(&fixture.rest, "GET", "/loose/things/x/", None).await;
    assert_eq!((answer.status.as_u16(), answer.json()["name"].as_str()), (200, Some("x")));
    assert_eq!(call(&fixture.rest, "GET", "/loose/things/x//", None).await.status, 404);
    // A trailing slash does not hide a wrong method.
    assert_eq!(call(&fixture.rest, "POST", "/loose/things/x/", None).await.status, 405);
    assert_eq!(call(&fixture.rest, "GET", "/", None).await.status, 404);
}

#[tokio::test]
async fn redirects_stay_on_the_server() {
    // A path with two leading slashes would name another host in Location.
    let request = Request::get("//evil.example/things/x/").body(Empty::<Bytes>::new()).unwrap();
    let answer = send(&Fixture::new().rest, request).await;
    assert_eq!((answer.status.as_u16(), answer.headers.get("location")), (404, None));
    // Browsers treat a backslash as a slash.
    let answer = call(&Fixture::new().rest, "GET", "/snake/things/\\x/", None).await;
    assert_eq!((answer.status.as_u16(), answer.headers["location"].to_str().unwrap()), (307, "/snake/things/%5Cx"));
}
