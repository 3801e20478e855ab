//! Every request of every group through every RPC that the group names: 53 calls, those with a body in two forms.

use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};

use super::driver::{Bench, Call, Form, call_of, compare, echoed};
use crate::support::{Answer, report};

/// The calls of the suite with their requests.
fn calls(
    bench: &Bench,
    form: Form,
) -> Vec<(String, transcoder_conformance::proto::compliance::v1::RepeatRequest, Call)> {
    let mut calls = Vec::new();
    for group in &bench.suite.group {
        for request in &group.requests {
            for rpc in &group.rpcs {
                let rpc = rpc.strip_prefix("Compliance.").unwrap();
                let name = format!("{}, {rpc}, {:?}, {form:?}", group.name, request.name);
                calls.push((name, request.clone(), call_of(rpc, request, form)));
            }
        }
    }
    assert_eq!(calls.len(), 53);
    calls
}

#[tokio::test]
async fn suite() {
    let bench = Bench::new();
    let mut failures = Vec::new();
    for form in [Form::Short, Form::Long] {
        for (name, request, call) in calls(&bench, form) {
            if let Err(why) = compare(&request, &bench.call(&call).await) {
                failures.push(format!("{name}: {why}"));
            }
        }
    }
    report(failures, 106);
}

#[tokio::test]
async fn suite_over_a_connection() {
    let bench = Bench::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let rest = bench.rest.clone();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = TowerToHyperService::new(rest);
        Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await.unwrap();
    });
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut failures = Vec::new();
    for (name, request, call) in calls(&bench, Form::Short) {
        let http = http::Request::builder()
            .method(call.method)
            .uri(call.uri())
            .header("host", address.to_string())
            .header("content-type", "application/json")
            .body(Full::new(bytes::Bytes::from(call.body.unwrap_or_default())))
            .unwrap();
        let (parts, body) = sender.send_request(http).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        if let Err(why) = compare(&request, &Answer { status: parts.status, headers: parts.headers, body }) {
            failures.push(format!("{name}: {why}"));
        }
    }
    report(failures, 53);
}

#[tokio::test]
async fn trailing_resource() {
    let bench = Bench::new();
    let mut request = bench.request("Binding testing baseline no Uri verification");
    request.server_verify = false;
    for tail in ["second/greetings", "second/a/b/c"] {
        request.info.as_mut().unwrap().f_child.as_mut().unwrap().f_string = tail.to_owned();
        let answer = bench.call(&call_of("RepeatDataPathTrailingResource", &request, Form::Short)).await;
        compare(&request, &answer).unwrap();
        assert!(echoed(&answer).unwrap().binding_uri.ends_with("second/**}:pathtrailingresource"));
    }
}
