//! Streams of messages: as lines, events and a list.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use transcoder::rest::ResponseBody;

use super::fixture::rest;
use crate::support::{Answer, call, send};

async fn get(uri: &str, headers: &[(&str, &str)]) -> Answer {
    let request = headers.iter().fold(Request::get(uri), |request, (name, value)| request.header(*name, *value));
    send(&rest(), request.body(Empty::<Bytes>::new()).unwrap()).await
}

/// A stream that stays open.
async fn open(uri: &str, accept: &str) -> Response<ResponseBody> {
    let request = Request::get(uri).header("accept", accept).body(Empty::<Bytes>::new()).unwrap();
    rest().oneshot(request).await.unwrap()
}

/// The next piece.
async fn piece(response: &mut Response<ResponseBody>) -> String {
    let frame = response.body_mut().frame().await.unwrap().unwrap();
    String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
}

fn lines(answer: &Answer) -> Vec<Value> {
    let text = std::str::from_utf8(&answer.body).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "every line ends: {text:?}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn tick(seq: i64) -> Value {
    let kind = if seq % 2 == 0 { "BEAT_KIND_TICK" } else { "BEAT_KIND_TOCK" };
    json!({"seq": seq.to_string(), "beat": {"kind": kind}, "text": format!("number\n{seq}")})
}

#[tokio::test]
async fn lines_are_the_default() {
    for accept in ["*/*", "application/x-ndjson", "application/json;q=0.5, application/jsonl"] {
        let answer = get("/flow/ticks?to=3", &[("accept", accept)]).await;
        assert_eq!((answer.status.as_u16(), lines(&answer)), (200, vec![tick(1), tick(2), tick(3)]));
        assert_eq!(answer.headers["content-type"], "application/x-ndjson");
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.headers["vary"], "accept");
        assert_eq!(answer.headers["x-accel-buffering"], "no");
        assert_eq!(answer.headers["x-counter"], "fast", "metadata of the response");
    }
    assert_eq!(lines(&get("/flow/ticks:seq?to=2", &[]).await), [json!("1"), json!("2")]);
    let posted = call(&rest(), "POST", "/flow/ticks", Some(r#"{"to": 2}"#)).await;
    assert_eq!((posted.status.as_u16(), lines(&posted)), (200, vec![tick(1), tick(2)]));
    let none = get("/flow/ticks", &[]).await;
    assert_eq!((none.status.as_u16(), none.body.len()), (200, 0));
}

#[tokio::test]
async fn events_have_ids_and_types() {
    let answer = get("/flow/ticks?to=2", &[("accept", "text/event-stream")]).await;
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    let text = std::str::from_utf8(&answer.body).unwrap();
    let want = format!(
        "id: 1\nevent: BEAT_KIND_TOCK\ndata: {}\n\nid: 2\nevent: BEAT_KIND_TICK\ndata: {}\n\nevent: end\ndata: {{}}\n\n",
        data(text, 0),
        data(text, 1),
    );
    assert_eq!(text, want);
    assert_eq!([data_of(text, 0), data_of(text, 1)], [tick(1), tick(2)]);
}

/// The data of an event, on its one line.
fn data(text: &str, event: usize) -> &str {
    let event = text.split("\n\n").nth(event).unwrap();
    event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap()
}

fn data_of(text: &str, event: usize) -> Value {
    serde_json::from_str(data(text, event)).unwrap()
}

#[tokio::test]
async fn clients_that_accept_only_json_get_a_list() {
    let answer = get("/flow/ticks?to=2", &[("accept", "application/json")]).await;
    assert_eq!(
        (answer.headers["content-type"].to_str().unwrap(), answer.json()),
        ("application/json", json!([tick(1), tick(2)]))
    );
    assert_eq!(get("/flow/ticks", &[("accept", "application/json")]).await.body, "[]");
    let failed = get("/flow/ticks?to=3&failAt=2", &[("accept", "application/json")]).await.json();
    assert_eq!((&failed[0], &failed[1]["error"]["status"]), (&tick(1), &json!("UNAVAILABLE")));
}

#[tokio::test]
async fn an_early_failure_has_its_status() {
    for accept in ["*/*", "text/event-stream", "application/json"] {
        let first = get("/flow/ticks?to=3&failAt=1", &[("accept", accept)]).await;
        assert_eq!((first.status.as_u16(), &first.json()["error"]["message"]), (503, &json!("lost count")));
        assert_eq!(first.headers["content-type"], "application/json");
        assert_eq!(get("/flow/ticks?to=-1", &[("accept", accept)]).await.status, 400);
        assert_eq!(get("/flow/ticks?to=x", &[("accept", accept)]).await.status, 400);
    }
}

#[tokio::test]
async fn a_failure_in_the_middle_is_the_last_message() {
    let answer = get("/flow/ticks?to=5&failAt=3", &[]).await;
    let lines = lines(&answer);
    assert_eq!((answer.status.as_u16(), &lines[..2], lines.len()), (200, &[tick(1), tick(2)][..], 3));
    let error = json!({"error": {
        "code": 503, "status": "UNAVAILABLE", "message": "lost count",
        "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "COUNT_LOST", "domain": "conformance"}],
    }});
    assert_eq!(lines[2], error);

    let answer = get("/flow/ticks?to=5&failAt=2", &[("accept", "text/event-stream")]).await;
    let text = std::str::from_utf8(&answer.body).unwrap();
    let last = text.split("\n\n").nth(1).unwrap();
    assert!(last.starts_with("event: error\ndata: "), "{last}");
    assert_eq!(data_of(text, 1), error);
    assert!(!text.contains("event: end"), "{text}");
}

#[tokio::test]
async fn a_reconnecting_client_resumes() {
    let events = |headers: &'static [(&str, &str)], uri: &'static str| async move {
        let text = String::from_utf8(get(uri, headers).await.body.to_vec()).unwrap();
        text.lines().filter_map(|line| line.strip_prefix("id: ").map(str::to_owned)).collect::<Vec<_>>()
    };
    const ACCEPT: (&str, &str) = ("accept", "text/event-stream");
    assert_eq!(events(&[ACCEPT, ("last-event-id", "2")], "/flow/ticks?to=4").await, ["3", "4"]);
    // The header is newer than the client's original URL.
    assert_eq!(events(&[ACCEPT, ("last-event-id", "3")], "/flow/ticks?to=4&after=1").await, ["4"]);
    assert_eq!(events(&[ACCEPT, ("last-event-id", "")], "/flow/ticks?to=4&after=2").await, ["3", "4"]);
    let bad = get("/flow/ticks?to=4", &[ACCEPT, ("last-event-id", "x")]).await;
    assert_eq!((bad.status.as_u16(), bad.violation().as_deref()), (400, Some("last-event-id")));
    // Browsers send it in UTF-8. One that is not a number is an error, and the stream does not start again.
    let bad = get("/flow/ticks?to=4", &[ACCEPT, ("last-event-id", "\u{fc}")]).await;
    assert_eq!((bad.status.as_u16(), bad.violation().as_deref()), (400, Some("last-event-id")));
    let bad = get("/flow/ticks?to=4", &[ACCEPT, ("last-event-id", "2"), ("last-event-id", "3")]).await;
    assert_eq!((bad.status.as_u16(), bad.violation().as_deref()), (400, Some("last-event-id")));
}

#[tokio::test]
async fn a_silent_stream_gets_its_head_and_heartbeats() {
    let mut events = open("/flow/ticks?to=1&stay=true", "text/event-stream").await;
    assert!(piece(&mut events).await.starts_with("id: 1\n"));
    assert_eq!([piece(&mut events).await, piece(&mut events).await], [":\n\n", ":\n\n"]);
    // Without any message the head is sent anyway.
    let mut silent = open("/flow/ticks?stay=true", "text/event-stream").await;
    assert_eq!((silent.status().as_u16(), piece(&mut silent).await.as_str()), (200, ":\n\n"));
    let lines = open("/flow/ticks?stay=true", "*/*").await;
    assert_eq!(
        (lines.status().as_u16(), lines.headers()["content-type"].to_str().unwrap()),
        (200, "application/x-ndjson")
    );
}

#[tokio::test]
async fn a_stream_ends_with_the_deadline_of_the_caller() {
    for (name, value) in [("grpc-timeout", "60m"), ("x-server-timeout", "0.06")] {
        let answer = get("/flow/ticks?to=1&stay=true", &[(name, value)]).await;
        let lines = lines(&answer);
        assert_eq!((answer.status.as_u16(), &lines[0], lines.len()), (200, &tick(1), 2));
        assert_eq!(lines[1]["error"]["status"], "DEADLINE_EXCEEDED");
    }
}

#[tokio::test]
async fn head_of_a_stream() {
    let head = call(&rest(), "HEAD", "/flow/ticks?to=3", None).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(head.headers["content-type"], "application/x-ndjson");
}

#[tokio::test]
async fn ready_messages_are_sent_together() {
    let mut lines = open("/flow/ticks?to=1000", "*/*").await;
    // All messages that are ready, up to the size of a buffer.
    let first = piece(&mut lines).await;
    assert!(first.lines().count() > 10 && first.len() < 20_000, "{} bytes", first.len());
}
