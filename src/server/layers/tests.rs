use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, StatusCode, header::CONTENT_TYPE};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::{ServiceExt, service_fn};

use super::*;
use crate::{
    auth::authn::{keys::Keys, revocation::Revocations, tenant_lookup::Tenants},
    base::{Clock, Result, TenantRef, caller::CallerTenant},
};

struct Nobody;

#[async_trait]
impl Tenants for Nobody {
    async fn find(&self, _: &TenantRef) -> Result<Option<CallerTenant>> {
        Ok(None)
    }
}

struct Shout;

impl transcoder::Dialect for Shout {
    fn render(&self, failure: &transcoder::Failure) -> transcoder::Rendered {
        transcoder::Rendered::json(failure, &serde_json::json!({"shout": failure.message}))
    }
}

pub(super) const LIMITS: Limits = Limits { max_body: 100, max_in_flight: 1, timeout: Duration::from_secs(3600) };

/// A dialect that panics.
struct Broken;

impl transcoder::Dialect for Broken {
    fn render(&self, _: &transcoder::Failure) -> transcoder::Rendered {
        panic!("hunter2")
    }
}

/// So short that a test can wait for it.
const TIMEOUTS: BodyTimeouts = BodyTimeouts { total: Duration::from_millis(200), part: Duration::from_millis(50) };

/// The service behind the layers: paths that misbehave, and one that reports what it received.
async fn inner(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    match request.uri().path() {
        "/shout/panic" | "/t.S/Panic" => panic!("hunter2"),
        "/shout/slow" | "/t.S/Slow" => std::future::pending().await,
        "/shout/read" | "/t.S/Read" => Ok(match request.into_body().collect().await {
            Ok(body) => Response::new(Body::from(body.to_bytes())),
            Err(error) => Response::new(Body::from(error.to_string())),
        }),
        "/v1/tenants" => Ok(Response::new(Body::from(match request.extensions().get::<Authentication>() {
            Some(Authentication::Caller(caller, _)) => caller.subject.clone(),
            Some(Authentication::Refused(error)) => error.reason_name().to_owned(),
            _ => "nobody".to_owned(),
        }))),
        _ => {
            let authenticated = request.extensions().get::<Authentication>().is_some();
            let deadline = request.extensions().get::<transcoder::Deadline>().is_some();
            Ok(Response::new(Body::from(format!("{authenticated} {deadline}"))))
        }
    }
}

/// A stack under test.
pub(super) trait Layered:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send
{
}

impl<S> Layered for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send
{
}

fn stack(limits: Limits) -> impl Layered {
    stack_at(limits, Ingress::default(), false)
}

pub(super) fn stack_at(limits: Limits, ingress: Ingress, open_manager: bool) -> impl Layered {
    let (keys, clock) = (Arc::new(Keys::ephemeral()), Clock::system());
    let authenticator =
        Authenticator::new(keys, Revocations::default(), Arc::new(Nobody), clock).with_open_manager(open_manager);
    let dialects = Dialects::new([
        ("shout", &["/shout"] as &[_], Arc::new(Shout) as Arc<dyn transcoder::Dialect>),
        ("broken", &["/broken"], Arc::new(Broken)),
    ]);
    Stack::new(service_fn(inner), Arc::new(authenticator), dialects, limits, TIMEOUTS, ingress)
}

fn request(path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(Method::POST).uri(path).header("host", "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

async fn answer(limits: Limits, path: &str, headers: &[(&str, &str)]) -> Response<Body> {
    stack(limits).oneshot(request(path, headers)).await.unwrap_or_else(|never| match never {})
}

pub(super) async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

pub(super) fn header<'r>(response: &'r Response<Body>, name: &str) -> &'r str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_call_gets_the_facts_of_the_layers() {
    let response = answer(LIMITS, "/shout/fine", &[]).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(header(&response, "x-request-id").len(), 32);
    assert_eq!(text(response).await, "true true");
}

#[tokio::test]
async fn a_valid_request_id_is_kept_and_an_invalid_one_is_replaced() {
    let response = answer(LIMITS, "/shout/fine", &[("x-request-id", "abc-1.2")]).await;
    assert_eq!(header(&response, "x-request-id"), "abc-1.2");
    for strange in ["a b", "", "\"", &"x".repeat(129)] {
        let response = answer(LIMITS, "/shout/fine", &[("x-request-id", strange)]).await;
        assert_eq!(header(&response, "x-request-id").len(), 32, "{strange}");
    }
}

#[tokio::test]
async fn a_panic_is_a_response_without_details() {
    let response = answer(LIMITS, "/shout/panic", &[]).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let id = header(&response, "x-request-id").to_owned();
    let body = text(response).await;
    assert_eq!(body, format!(r#"{{"shout":"internal error; request id {id}"}}"#));

    let response = answer(LIMITS, "/t.S/Panic", &[("content-type", "application/grpc")]).await;
    assert_eq!((response.status(), header(&response, "grpc-status")), (StatusCode::OK, "13"));
    assert!(!header(&response, "grpc-message").contains("hunter2"));
}

#[tokio::test]
async fn a_panic_in_a_layer_is_a_response_too() {
    for headers in [&[("content-length", "101")][..], &[("host", "a b")]] {
        let response = answer(LIMITS, "/broken/by-its-dialect", headers).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR, "{headers:?}");
        let body = text(response).await;
        assert!(body.contains("internal error") && !body.contains("hunter2"), "{body}");
    }
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_aborted() {
    let short = Limits { timeout: Duration::from_millis(20), ..LIMITS };
    let response = answer(short, "/shout/slow", &[("x-server-timeout", "3600")]).await;
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    let before = std::time::Instant::now();
    let asked = [("content-type", "Application/gRPC-Web; charset=utf-8"), ("grpc-timeout", "50m")];
    let response = answer(LIMITS, "/t.S/Slow", &asked).await;
    assert_eq!(header(&response, "grpc-status"), "4");
    assert_eq!(response.headers()[CONTENT_TYPE], "application/grpc-web+proto");
    assert!(before.elapsed() < Duration::from_secs(60));
    let response = answer(LIMITS, "/other/slow", &[("x-server-timeout", "1")]).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn too_many_calls_are_refused_and_probes_are_not() {
    let stack = stack(LIMITS);
    let slow = tokio::spawn(stack.clone().oneshot(request("/shout/slow", &[])));
    // The slow call has the only permit as soon as it was polled once.
    tokio::task::yield_now().await;
    let refused = stack.clone().oneshot(request("/shout/fine", &[])).await.unwrap();
    assert_eq!((refused.status(), header(&refused, "retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
    let grpc = stack.clone().oneshot(request("/t.S/Fine", &[("content-type", "application/grpc")])).await.unwrap();
    assert_eq!(header(&grpc, "grpc-status"), "14");
    assert_eq!(stack.clone().oneshot(request("/healthz", &[])).await.unwrap().status(), StatusCode::OK);
    slow.abort();
    let _ = slow.await;
    assert_eq!(stack.oneshot(request("/shout/fine", &[])).await.unwrap().status(), StatusCode::OK);
}

/// A request whose body is sent through the other half.
fn streamed(
    path: &str,
    grpc: bool,
) -> (futures::channel::mpsc::UnboundedSender<Result<Bytes, Infallible>>, Request<Body>) {
    let (parts, body) = futures::channel::mpsc::unbounded();
    let headers: &[_] = if grpc { &[("content-type", "application/grpc")] } else { &[] };
    (parts, request(path, headers).map(|_| Body::from_stream(body)))
}

#[tokio::test]
async fn arriving_bodies_do_not_count_as_active_calls() {
    let stack = stack(LIMITS);
    let mut begun = Vec::new();
    for n in 0..8 {
        let (parts, request) = streamed("/shout/read", n % 2 == 0);
        begun.push((parts, tokio::spawn(stack.clone().oneshot(request))));
    }
    tokio::task::yield_now().await;
    assert_eq!(stack.clone().oneshot(request("/shout/fine", &[])).await.unwrap().status(), StatusCode::OK);
    // This many may be arriving, and no more.
    let (_parts, more) = streamed("/shout/read", false);
    assert_eq!(stack.clone().oneshot(more).await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    let (_parts, health) = streamed("/grpc.health.v1.Health/Check", true);
    assert_eq!(header(&stack.clone().oneshot(health).await.unwrap(), "grpc-status"), "");

    let (parts, call) = begun.remove(1);
    parts.unbounded_send(Ok(Bytes::from("whole"))).unwrap();
    drop(parts);
    assert_eq!(text(call.await.unwrap().unwrap()).await, "whole");
}

#[tokio::test]
async fn a_body_that_completes_above_the_limit_is_refused() {
    let stack = stack(LIMITS);
    let (parts, late) = streamed("/shout/read", false);
    let late = tokio::spawn(stack.clone().oneshot(late));
    let slow = tokio::spawn(stack.oneshot(request("/shout/slow", &[])));
    tokio::task::yield_now().await;
    parts.unbounded_send(Ok(Bytes::from("whole"))).unwrap();
    drop(parts);
    assert_eq!(late.await.unwrap().unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    slow.abort();
}

#[tokio::test]
async fn a_stalled_or_slow_body_is_aborted() {
    let (parts, stalled) = streamed("/shout/read", false);
    parts.unbounded_send(Ok(Bytes::from("be"))).unwrap();
    let response = stack(LIMITS).oneshot(stalled).await.unwrap();
    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
    assert_eq!(text(response).await, r#"{"shout":"the body of the request did not arrive in time"}"#);

    let (parts, trickling) = streamed("/t.S/Read", true);
    let trickle = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        while parts.unbounded_send(Ok(Bytes::from("x"))).is_ok() {
            ticks.tick().await;
        }
    });
    let response = stack(LIMITS).oneshot(trickling).await.unwrap();
    assert_eq!((response.status(), header(&response, "grpc-status")), (StatusCode::OK, "4"));
    trickle.await.unwrap();
}

#[tokio::test]
async fn a_body_with_an_excessive_declared_length_is_refused() {
    let response = answer(LIMITS, "/shout/fine", &[("content-length", "101")]).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer(LIMITS, "/shout/fine", &[("content-length", "100")]).await.status(), StatusCode::OK);
    let grpc = [("content-length", "101"), ("content-type", "application/grpc+proto")];
    assert_eq!(answer(LIMITS, "/t.S/Fine", &grpc).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_refused_head_has_no_body() {
    let mut request = request("/shout/panic", &[]);
    *request.method_mut() = Method::HEAD;
    let response = stack(LIMITS).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(header(&response, "content-length").parse::<u64>().unwrap() > 0, "that of the answer to GET");
    assert_eq!(text(response).await, "");
}

#[tokio::test]
async fn errors_on_other_paths_follow_aip_193() {
    let response = answer(LIMITS, "/other", &[("content-length", "101")]).await;
    let id = header(&response, "x-request-id").to_owned();
    let body: Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(body["error"]["code"], 413);
    assert!(body.to_string().contains(&id), "{body}");
}
