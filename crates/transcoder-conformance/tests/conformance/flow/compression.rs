//! Responses in gzip and zstd.

use std::io::Read as _;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Empty, Full};
use tower::ServiceExt as _;
use transcoder::compress::Compressed;

use super::fixture::rest;
use crate::support::send;

async fn get(uri: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap, Bytes) {
    let request = headers.iter().fold(Request::get(uri), |request, (name, value)| request.header(*name, *value));
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    let response = Compressed::new(rest(), 1024).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    (parts.status.as_u16(), parts.headers, body.collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn large_responses_are_compressed() {
    let (_, plain, whole) = get("/flow/docs/a", &[]).await;
    assert!(!plain.contains_key("content-encoding") && whole.len() > 2000);
    for coding in ["gzip", "zstd"] {
        let (status, headers, body) = get("/flow/docs/a", &[("accept-encoding", coding)]).await;
        assert_eq!(
            (status, &headers["content-encoding"], &headers["vary"]),
            (200, &coding.parse().unwrap(), &"accept-encoding".parse().unwrap())
        );
        assert!(body.len() < 300, "{} bytes", body.len());
        // Its own tag, which is valid in conditional requests.
        assert_eq!(headers["etag"], format!("\"t1;{coding}\""));
        let (status, headers, _) =
            get("/flow/docs/a", &[("if-none-match", &format!("\"t1;{coding}\"")), ("accept-encoding", coding)]).await;
        assert_eq!((status, headers["etag"].to_str().unwrap()), (304, &*format!("\"t1;{coding}\"")));
    }
    let (_, _, body) = get("/flow/docs/a", &[("accept-encoding", "gzip")]).await;
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&*body).read_to_end(&mut text).unwrap();
    assert_eq!(text, whole);
}

#[tokio::test]
async fn small_responses_and_streams_are_not_compressed() {
    let (_, headers, _) = get("/flow/text/a", &[("accept-encoding", "gzip")]).await;
    assert!(!headers.contains_key("content-encoding"));
    for accept in ["*/*", "text/event-stream"] {
        let (_, headers, _) = get("/flow/ticks?to=2000", &[("accept-encoding", "gzip"), ("accept", accept)]).await;
        assert!(!headers.contains_key("content-encoding"), "{accept}");
    }
}

#[tokio::test]
async fn responses_have_vary_for_caches() {
    for accept in [None, Some(("accept-encoding", "gzip"))] {
        let headers: Vec<_> = [("if-none-match", "\"t1\"")].into_iter().chain(accept).collect();
        let (status, headers, _) = get("/flow/docs/a", &headers).await;
        assert_eq!((status, headers["vary"].to_str().unwrap()), (304, "accept-encoding"));
    }
}

#[tokio::test]
async fn head_omits_the_length_of_a_compressible_response() {
    let head = |coding: &'static str| async move {
        let request = Request::head("/flow/docs/a").header("accept-encoding", coding).body(Empty::<Bytes>::new());
        Compressed::new(rest(), 1024).oneshot(request.unwrap()).await.unwrap().into_parts().0.headers
    };
    let plain = Request::head("/flow/docs/a").body(Empty::<Bytes>::new()).unwrap();
    let plain = Compressed::new(rest(), 1024).oneshot(plain).await.unwrap().into_parts().0.headers;
    assert_eq!((plain.contains_key("content-length"), plain["vary"].to_str().unwrap()), (true, "accept-encoding"));
    let gzip = head("gzip").await;
    assert_eq!((gzip.get("content-length"), gzip["vary"].to_str().unwrap()), (None, "accept-encoding"));
}

#[tokio::test]
async fn a_completed_call_gets_its_response_whatever_coding_is_accepted() {
    for accept in ["identity;q=0", "br, *;q=0"] {
        let request = Request::patch("/flow/docs/a").header("content-type", "application/json");
        let request = request.header("accept-encoding", accept).body(Full::<Bytes>::from("{}")).unwrap();
        let response = Compressed::new(rest(), 1024).oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200, "{accept}");
    }
}

#[tokio::test]
async fn a_compressed_request_is_refused() {
    let request = Request::patch("/flow/docs/a").header("content-type", "application/json");
    let answer = send(&rest(), request.header("content-encoding", "gzip").body(Full::from("{}")).unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.headers["accept-encoding"].to_str().unwrap()), (415, "identity"));
    assert_eq!(answer.json()["error"]["details"][0]["reason"], "CONTENT_ENCODING_UNSUPPORTED");
    let request = Request::patch("/flow/docs/a").header("content-type", "application/json");
    let answer = send(&rest(), request.header("content-encoding", "identity").body(Full::from("{}")).unwrap()).await;
    assert_eq!(answer.status, 200);
}
