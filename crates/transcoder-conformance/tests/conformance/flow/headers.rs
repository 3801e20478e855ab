//! Fields of a request that come from its headers.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::json;

use super::fixture::rest;
use crate::support::{Answer, send};

async fn get(uri: &str, headers: &[(&str, &[u8])]) -> Answer {
    let request = headers.iter().fold(Request::get(uri), |request, (name, value)| request.header(*name, *value));
    send(&rest(), request.body(Full::new(Bytes::new())).unwrap()).await
}

#[tokio::test]
async fn a_header_is_a_field_and_its_query_key_is_refused() {
    let note = async |headers: &[(&str, &[u8])]| get("/flow/docs/a", headers).await.json()["note"].clone();
    assert_eq!(note(&[("X-Note", b"from a header")]).await, "from a header");
    assert_ne!(note(&[]).await, json!("from a header"));
    let query = get("/flow/docs/a?note=x", &[]).await;
    assert_eq!((query.status.as_u16(), query.violation().as_deref()), (400, Some("note")));
    for bad in [&[("x-note", b"one".as_slice()), ("x-note", b"two")][..], &[("x-note", b"\xff")]] {
        let refused = get("/flow/docs/a", bad).await;
        assert_eq!((refused.status.as_u16(), refused.violation().as_deref()), (400, Some("x-note")), "{bad:?}");
    }
}
