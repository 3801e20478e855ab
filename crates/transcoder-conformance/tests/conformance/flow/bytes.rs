//! Raw bytes in both directions, and responses that are well-known types.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty, Full};
use serde_json::json;
use tower::ServiceExt as _;

use super::fixture::rest;
use crate::support::{Answer, call, send};

async fn put(uri: &str, media_type: Option<&str>, body: &'static [u8]) -> Answer {
    let mut request = Request::put(uri);
    if let Some(media_type) = media_type {
        request = request.header("content-type", media_type);
    }
    send(&rest(), request.body(Full::new(Bytes::from_static(body))).unwrap()).await
}

#[tokio::test]
async fn uploads_of_any_type() {
    let answer = put("/flow/files/a?dryRun=true", Some("image/x-any"), b"\0\xff{").await;
    assert_eq!(answer.json(), json!({"name": "a", "mediaType": "image/x-any", "size": 3, "dryRun": true}));
    let untyped = put("/flow/files/a", None, b"x").await;
    assert_eq!(untyped.json(), json!({"name": "a", "mediaType": "", "size": 1, "dryRun": false}));
    assert_eq!(put("/flow/files/a", Some("a/b"), b"").await.json()["size"], 0);
    // The query cannot bind the field of the body.
    for query in ["file.contentType=a", "file.data=YQ"] {
        assert_eq!(put(&format!("/flow/files/a?{query}"), Some("a/b"), b"x").await.status, 400, "{query}");
    }
    let large = put("/flow/files/a", Some("a/b"), &[7; 5000]).await;
    assert_eq!(
        (large.status.as_u16(), &large.json()["error"]["details"][0]["reason"]),
        (413, &json!("BODY_TOO_LARGE"))
    );
}

#[tokio::test]
async fn a_message_with_bytes_in_it_is_json() {
    let body = r#"{"name": "a", "file": {"contentType": "x/y", "data": "AP8="}}"#;
    let answer = call(&rest(), "POST", "/flow/files", Some(body)).await;
    assert_eq!(answer.json(), json!({"name": "a", "mediaType": "x/y", "size": 2, "dryRun": false}));
}

#[tokio::test]
async fn raw_bytes_round_trip() {
    let request = Request::post("/flow/mirror").header("content-type", "text/x").body(Full::from("a\nb")).unwrap();
    let answer = send(&rest(), request).await;
    assert_eq!((answer.status.as_u16(), &*answer.body), (200, &b"a\nb"[..]));
    assert_eq!(answer.headers["content-type"], "text/x");
    assert_eq!(answer.headers["content-disposition"], "attachment; filename=\"a\"");
    let empty = call(&rest(), "POST", "/flow/mirror", None).await;
    assert_eq!((empty.headers["content-type"].to_str().unwrap(), empty.body.len()), ("application/octet-stream", 0));
}

#[tokio::test]
async fn downloads_in_pieces() {
    let answer = call(&rest(), "GET", "/flow/bytes?to=3", None).await;
    assert_eq!(
        (answer.headers["content-type"].to_str().unwrap(), &*answer.body),
        ("text/x-numbers", &b"1\n2\n3\n"[..])
    );
    // Raw bytes have no other form.
    let request = Request::get("/flow/bytes?to=2").header("accept", "text/event-stream").body(Empty::<Bytes>::new());
    let answer = send(&rest(), request.unwrap()).await;
    assert_eq!((answer.headers["content-type"].to_str().unwrap(), &*answer.body), ("text/x-numbers", &b"1\n2\n"[..]));
    assert_eq!(call(&rest(), "GET", "/flow/bytes?to=2&failAt=1", None).await.status, 503);
}

#[tokio::test]
async fn a_failure_in_the_middle_of_raw_bytes_aborts() {
    let request = Request::get("/flow/bytes?to=9&failAt=3").body(Empty::<Bytes>::new()).unwrap();
    let mut response = rest().oneshot(request).await.unwrap();
    let frame = response.body_mut().frame().await.unwrap().unwrap();
    assert_eq!((response.status().as_u16(), frame.into_data().unwrap()), (200, Bytes::from("1\n2\n")));
    let end = response.body_mut().frame().await.unwrap().unwrap_err();
    assert_eq!(end.to_string(), "the response body ended before it was complete");
    assert!(response.body_mut().frame().await.is_none());
}

#[tokio::test]
async fn responses_that_are_well_known_types() {
    assert_eq!(call(&rest(), "GET", "/flow/anything/a", None).await.json(), json!({"name": "a"}));
    assert_eq!(call(&rest(), "GET", "/flow/text/a%2Fb", None).await.json(), json!("a/b"));
}

#[tokio::test]
async fn the_first_raw_bytes_are_awaited_for_their_type() {
    // Longer than the heartbeat, which would send a head without the type, and no error could follow it.
    let request = Request::get("/flow/bytes?stay=true").header("grpc-timeout", "80m");
    let answer = send(&rest(), request.body(Empty::<Bytes>::new()).unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.json()["error"]["status"].as_str()), (504, Some("DEADLINE_EXCEEDED")));
}
