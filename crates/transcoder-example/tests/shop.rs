//! The shop, over real connections.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tonic::{client::Grpc, codegen::http::uri::PathAndQuery, transport::Channel};
use transcoder_example::{
    Shop, app,
    proto::shop::v1::{GetOrderRequest, Order},
};

async fn serve() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app(Shop::default())).await });
    address
}

async fn order(address: SocketAddr) -> Value {
    reqwest::get(format!("http://{address}/v1/orders/7")).await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn rest_and_grpc_are_one_service() {
    let address = serve().await;
    let want = json!({"name": "orders/7", "state": "STATE_OPEN", "items": ["tea", "cups"], "totalCents": "2350"});
    assert_eq!(order(address).await, want);

    let http = reqwest::Client::new();
    let changed = http.patch(format!("http://{address}/v1/orders/7")).json(&json!({"totalCents": 999})).send();
    assert_eq!(changed.await.unwrap().json::<Value>().await.unwrap()["totalCents"], "999");
    assert_eq!(order(address).await["items"], json!(["tea", "cups"]), "only what the body has is changed");

    let cancelled = http.post(format!("http://{address}/v1/orders/7:cancel")).json(&json!({})).send().await.unwrap();
    assert_eq!((cancelled.status().as_u16(), cancelled.text().await.unwrap()), (200, "{}".to_owned()));

    let mut grpc = Grpc::new(Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap());
    grpc.ready().await.unwrap();
    let request = tonic::Request::new(GetOrderRequest { name: "orders/7".to_owned() });
    let path = PathAndQuery::from_static("/shop.v1.OrderService/GetOrder");
    let answer = grpc.unary(request, path, tonic_prost::ProstCodec::<_, Order>::default()).await.unwrap();
    assert_eq!((answer.get_ref().total_cents, answer.get_ref().state), (999, 2));
}

#[tokio::test]
async fn a_watch_is_a_stream_of_lines_or_events() {
    let address = serve().await;
    let url = format!("http://{address}/v1/orders/7:watch");
    let lines = reqwest::get(&url).await.unwrap();
    assert_eq!(lines.headers()["content-type"], "application/x-ndjson");
    let text = lines.text().await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(text.strip_suffix('\n').unwrap()).unwrap()["name"], "orders/7");
    let events = reqwest::Client::new().get(&url).header("accept", "text/event-stream").send().await.unwrap();
    assert!(events.text().await.unwrap().starts_with("data: {\"name\":\"orders/7\""));
}

#[tokio::test]
async fn errors_name_the_problem() {
    let address = serve().await;
    let missing = reqwest::get(format!("http://{address}/v1/orders/8")).await.unwrap();
    assert_eq!(missing.status(), 404);
    let error: Value = missing.json().await.unwrap();
    assert_eq!(
        error,
        json!({"error": {"code": 404, "status": "NOT_FOUND", "message": "no such order", "details": []}})
    );
    let wrong = reqwest::Client::new().delete(format!("http://{address}/v1/orders/7")).send().await.unwrap();
    assert_eq!(
        (wrong.status().as_u16(), &wrong.headers()["allow"]),
        (405, &"GET, HEAD, OPTIONS, PATCH".parse().unwrap())
    );
}
