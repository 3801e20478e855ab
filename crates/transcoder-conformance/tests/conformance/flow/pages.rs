//! Lists in pages: over REST one list that is sent piece by piece, over gRPC one message.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use transcoder::{compress::Compressed, rest::ResponseBody};
use transcoder_conformance::rules::conformance::rules::v1::{CountRequest, flow_rest, flow_server::Flow};

use super::fixture::{Desk, rest};
use crate::support::{call, send};

fn numbers(to: i64) -> Value {
    let kind = |n: i64| if n % 2 == 0 { "BEAT_KIND_TICK" } else { "BEAT_KIND_TOCK" };
    let number = |n: i64| json!({"seq": n.to_string(), "beat": {"kind": kind(n)}, "text": format!("number\n{n}")});
    (1..=to).map(number).collect()
}

async fn open(uri: &str, header: (&str, &str)) -> http::Response<ResponseBody> {
    let request = Request::get(uri).header(header.0, header.1).body(Empty::<Bytes>::new()).unwrap();
    rest().oneshot(request).await.unwrap()
}

#[tokio::test]
async fn a_list_of_any_length_reads_the_same() {
    for to in [0, 1, 3, 4, 6, 7, 50] {
        let answer = call(&rest(), "GET", &format!("/flow/numbers?to={to}"), None).await;
        let whole = json!({"name": "some", "numbers": numbers(to), "total": to.to_string()});
        assert_eq!((answer.status.as_u16(), answer.json()), (200, whole), "{to}");
        let bare = call(&rest(), "GET", &format!("/flow/numbers:bare?to={to}"), None).await;
        assert_eq!((bare.status.as_u16(), bare.json()), (200, numbers(to)), "{to}");
        for headers in [answer.headers, bare.headers] {
            assert_eq!(headers["content-type"], "application/json");
            assert!(!headers.contains_key("cache-control"));
            // A digest requires a complete response.
            assert_eq!(headers.contains_key("etag"), to <= 3, "{to}");
        }
    }
}

#[tokio::test]
async fn a_known_length_is_sent() {
    for (to, known) in [(3, true), (4, false)] {
        let answer = open(&format!("/flow/numbers?to={to}"), ("accept", "*/*")).await;
        assert_eq!(answer.body().whole().is_some(), known);
        let uri = format!("/flow/numbers?to={to}");
        let request = Request::head(&uri).body(Empty::<Bytes>::new()).unwrap();
        let head = send(&rest(), request).await;
        assert_eq!((head.status.as_u16(), head.headers.contains_key("content-length")), (200, known));
        assert!(head.body.is_empty());
    }
}

#[tokio::test]
async fn pages_are_compressed_as_they_are_sent() {
    let uri = "/flow/numbers?to=90";
    let whole = call(&rest(), "GET", uri, None).await.body;
    let request = Request::get(uri).header("accept-encoding", "gzip").body(Empty::<Bytes>::new()).unwrap();
    let response = Compressed::new(rest(), 1024).oneshot(request).await.unwrap();
    let headers = response.headers();
    assert!(headers["content-encoding"] == "gzip" && headers["vary"] == "accept-encoding", "{headers:?}");
    let packed = response.into_body().collect().await.unwrap().to_bytes();
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&*packed), &mut text).unwrap();
    assert_eq!(text, whole);
    let request = Request::head(uri).header("accept-encoding", "gzip").body(Empty::<Bytes>::new()).unwrap();
    let head = Compressed::new(rest(), 1024).oneshot(request).await.unwrap();
    assert_eq!(head.headers()["vary"], "accept-encoding");
}

#[tokio::test]
async fn an_early_failure_has_its_status_and_a_late_one_aborts() {
    for path in ["/flow/numbers", "/flow/numbers:bare"] {
        assert_eq!(call(&rest(), "GET", &format!("{path}?to=9&failAt=2"), None).await.status, 503);
        let mut response = open(&format!("{path}?to=9&failAt=8"), ("accept", "*/*")).await;
        let frame = response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
        let begun = String::from_utf8(frame.to_vec()).unwrap();
        assert!(begun.contains(r#""seq":"6""#) && begun.ends_with('}') && response.status() == 200, "{begun}");
        let end = response.body_mut().frame().await.unwrap().unwrap_err();
        assert_eq!(end.to_string(), "the response body ended before it was complete");
        assert!(response.body_mut().frame().await.is_none());
    }
}

#[tokio::test]
async fn only_the_callers_deadline_ends_a_stream() {
    let mut response = open("/flow/numbers?to=9&stay=true", ("x-server-timeout", "0.05")).await;
    let mut told = Vec::new();
    let end = loop {
        match response.body_mut().frame().await.expect("a failure before the end") {
            Ok(frame) => told.extend_from_slice(&frame.into_data().unwrap()),
            Err(broken) => break broken,
        }
    };
    assert_eq!(end.to_string(), "the response body ended before it was complete");
    assert!(String::from_utf8(told).unwrap().contains(r#""seq":"9""#));
}

#[tokio::test]
async fn over_grpc_a_list_is_one_message() {
    let list = async |request: CountRequest| {
        Flow::list_numbers(&flow_rest::Guarded::open(Desk), tonic::Request::new(request)).await
    };
    for to in [0, 3, 50] {
        let answer = list(CountRequest { to, ..CountRequest::default() }).await.unwrap().into_inner();
        let all: Vec<_> = answer.numbers.iter().map(|number| number.seq).collect();
        assert_eq!((all, answer.total, &*answer.name), ((1..=to).collect(), to, "some"));
    }
    let lost = list(CountRequest { to: 9, fail_at: 8, ..CountRequest::default() }).await.unwrap_err();
    assert_eq!(lost.message(), "lost count");
    let long = list(CountRequest { to: 400_000, ..CountRequest::default() }).await.unwrap_err();
    assert_eq!(long.code(), tonic::Code::ResourceExhausted);
}
