//! The services of flow.proto as handlers: a context and a message in, a message or their own error out.

use bytes::Bytes;
use http::Request;
use http_body_util::{Empty, Full};
use serde_json::{Value, json};
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Code, Response, Streaming};
use transcoder::{Rest, RestBuilder, handler::Pages};
use transcoder_conformance::{
    handlers::{
        Call, Refused,
        conformance::rules::v1::flow::{self, Flow},
    },
    rules::{
        conformance::rules::v1::{
            CountRequest, Doc, GetDocRequest, Numbers, PushRequest, PushResponse, Tick, flow_client::FlowClient,
        },
        google::api::HttpBody,
    },
};

use crate::support::{Answer, send};

struct Hand;

fn tick(seq: i64) -> Tick {
    Tick { seq, ..Tick::default() }
}

/// Counts from one, and fails before a number.
fn numbers(request: &CountRequest) -> impl Iterator<Item = Result<i64, Refused>> + Send + use<> {
    let CountRequest { to, fail_at, .. } = *request;
    (1..=to).map(move |n| if n == fail_at { Err(Refused(format!("no {n}"))) } else { Ok(n) })
}

impl Flow for Hand {
    async fn count(
        &self,
        call: &Call,
        request: CountRequest,
    ) -> Result<impl Stream<Item = Result<Tick, Refused>> + Send + 'static, Refused> {
        if request.to < 0 {
            return Err(Refused(format!("not for {}", call.caller)));
        }
        Ok(tokio_stream::iter(numbers(&request)).map(|n| n.map(tick)))
    }

    async fn pull(
        &self,
        _: &Call,
        request: CountRequest,
    ) -> Result<impl Stream<Item = Result<HttpBody, Refused>> + Send + 'static, Refused> {
        let piece = |n| HttpBody { data: format!("{n}\n").into_bytes(), ..HttpBody::default() };
        Ok(tokio_stream::iter(numbers(&request)).map(move |n| n.map(piece)))
    }

    async fn push(&self, call: &Call, request: PushRequest) -> Result<Response<PushResponse>, Refused> {
        let mut response = Response::new(PushResponse { name: request.name, ..PushResponse::default() });
        let caller = call.caller.parse().map_err(|_| Refused("no header".to_owned()))?;
        response.metadata_mut().insert("x-pushed-by", caller);
        Ok(response)
    }

    async fn mirror(&self, _: &Call, body: HttpBody) -> Result<PushRequest, Refused> {
        Ok(PushRequest { file: Some(body), ..PushRequest::default() })
    }

    async fn get_anything(&self, _: &Call, _: GetDocRequest) -> Result<prost_types::Struct, Refused> {
        Ok(prost_types::Struct::default())
    }

    async fn get_text(&self, call: &Call, request: GetDocRequest) -> Result<String, Refused> {
        Ok(format!("{} for {}", request.name, call.caller))
    }

    async fn sleep(&self, _: &Call, _: GetDocRequest) -> Result<Doc, Refused> {
        std::future::pending().await
    }

    async fn list_numbers(&self, _: &Call, request: CountRequest) -> Result<Pages<Numbers, Refused>, Refused> {
        let page = |n: i64| Numbers { numbers: vec![tick(n)], total: n, ..Numbers::default() };
        let mut pages = numbers(&request).map(move |n| n.map(page));
        match pages.next() {
            None => Ok(Pages::one(Numbers::default())),
            Some(first) => Ok(Pages::new(first?, tokio_stream::iter(pages))),
        }
    }

    async fn talk(
        &self,
        _: &Call,
        request: Streaming<Tick>,
    ) -> Result<impl Stream<Item = Result<Tick, Refused>> + Send + 'static, Refused> {
        Ok(request.map(|tick| tick.map_err(|status| Refused(status.message().to_owned()))))
    }
}

fn rest() -> Rest {
    RestBuilder::default().routes(flow::mount(Hand).open().routes).open()
}

async fn get(path: &str) -> Answer {
    let request = Request::get(path).header("x-caller", "ada").body(Empty::<Bytes>::new()).unwrap();
    send(&rest(), request).await
}

fn error(code: u16, status: &str, message: &str) -> Value {
    json!({"error": {"code": code, "status": status, "message": message, "details": []}})
}

#[tokio::test]
async fn a_handler_takes_its_context_and_a_message() {
    let answer = get("/flow/text/tea").await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!("tea for ada")));
    let request = Request::get("/flow/text/tea").body(Empty::<Bytes>::new()).unwrap();
    let answer = send(&rest(), request).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (401, error(401, "UNAUTHENTICATED", "who calls?")));
}

#[tokio::test]
async fn errors_become_statuses_before_and_in_a_stream() {
    let answer = get("/flow/ticks?to=-1").await;
    let refused = error(400, "FAILED_PRECONDITION", "not for ada, ada");
    assert_eq!((answer.status.as_u16(), answer.json()), (400, refused));
    let answer = get("/flow/ticks?to=3&failAt=2").await;
    assert_eq!(answer.status.as_u16(), 200);
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(text.contains(r#""seq":"1""#) && text.contains("no 2, ada") && !text.contains(r#""seq":"3""#), "{text}");
}

#[tokio::test]
async fn a_handler_returns_metadata_with_a_message() {
    let request = Request::put("/flow/files/a").header("x-caller", "ada").header("content-type", "text/plain");
    let answer = send(&rest(), request.body(Full::new(Bytes::from("x"))).unwrap()).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["name"]), (200, &json!("a")));
    assert_eq!(answer.headers["x-pushed-by"], "ada");
}

#[tokio::test]
async fn a_list_is_sent_in_pages() {
    let answer = get("/flow/numbers?to=3").await;
    let numbers: Vec<_> = answer.json()["numbers"].as_array().unwrap().iter().map(|n| n["seq"].clone()).collect();
    assert_eq!((numbers, &answer.json()["total"]), (vec![json!("1"), json!("2"), json!("3")], &json!("3")));
    assert_eq!(get("/flow/numbers?to=0").await.json()["numbers"], json!([]));
    let answer = get("/flow/numbers?to=3&failAt=1").await;
    assert_eq!(answer.json(), error(400, "FAILED_PRECONDITION", "no 1, ada"));
}

#[tokio::test]
async fn handlers_work_over_grpc() {
    let served = flow::mount(Hand).open();
    assert_eq!((served.name, served.methods.len()), ("conformance.rules.v1.Flow", 9));
    assert_eq!(served.grpc_path(), "/conformance.rules.v1.Flow/{*method}");
    let mut client = FlowClient::new(served.grpc);
    let ask = |request: CountRequest| {
        let mut request = tonic::Request::new(request);
        request.metadata_mut().insert("x-caller", "ada".parse().unwrap());
        request
    };
    let whole = client.list_numbers(ask(CountRequest { to: 3, ..CountRequest::default() })).await.unwrap();
    assert_eq!(whole.into_inner().numbers.len(), 3);
    let refused = client.list_numbers(ask(CountRequest { to: 3, fail_at: 2, ..CountRequest::default() })).await;
    assert_eq!(refused.unwrap_err().message(), "no 2, ada");
    let stream = client.count(ask(CountRequest { to: 2, ..CountRequest::default() })).await.unwrap();
    let ticks: Vec<_> = stream.into_inner().map(|tick| tick.unwrap().seq).collect().await;
    assert_eq!(ticks, [1, 2]);
}

#[tokio::test]
async fn an_unimplemented_service_says_why_and_has_no_routes() {
    let served = flow::mount(Hand).unimplemented("not sold here").open();
    assert!(served.routes.is_empty());
    let mut client = FlowClient::new(served.grpc);
    let refused = client.sleep(GetDocRequest::default()).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Unimplemented, "not sold here"));
}

#[tokio::test]
async fn a_context_can_make_calls_idempotent() {
    let push = async |path: &str, caller: &str, once: &str, body: &str| {
        let request = Request::post(path).header("x-caller", caller).header("x-once", once);
        let request = request.header("content-type", "application/json").body(Full::<Bytes>::from(body.to_owned()));
        let answer = send(&rest(), request.unwrap()).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        (answer.json()["name"].clone(), answer.headers["x-pushed-by"].to_str().unwrap().to_owned())
    };
    let by = |name: &str, caller: &str| (json!(name), caller.to_owned());
    let (files, a, b) = ("/flow/files", r#"{"name":"a"}"#, r#"{"name":"b"}"#);
    assert_eq!(push(files, "ada", "one", a).await, by("a", "ada"));
    assert_eq!(push(files, "eve", "one", r#"{ "name": "\u0061" }"#).await, by("a", "ada"), "the same message");
    assert_eq!(push(files, "eve", "one", b).await, by("b", "eve"), "another message");
    assert_eq!(push(files, "eve", "two", a).await, by("a", "eve"), "another key");
    // A read has nothing to do once.
    let read = async |caller: &str| {
        let request = Request::get("/flow/text/tea").header("x-caller", caller).header("x-once", "one");
        send(&rest(), request.body(Empty::<Bytes>::new()).unwrap()).await.json()
    };
    assert_eq!((read("ada").await, read("eve").await), (json!("tea for ada"), json!("tea for eve")));
}
