//! Conformance to the gRPC health protocol.

use std::collections::BTreeSet;

use tenantry::proto::grpc::health::v1::{
    HealthCheckRequest, HealthListRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic::{
    Code, Response,
    transport::{Channel, Endpoint},
};

use crate::harness::{PATIENCE, eventually, grpc, server::Server};

fn client(server: &Server) -> HealthClient<Channel> {
    HealthClient::new(Endpoint::from_shared(format!("http://{}", server.address())).unwrap().connect_lazy())
}

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

/// The services that a client can call.
fn services() -> BTreeSet<String> {
    let ours = grpc::methods().into_iter().map(|method| method.parent_service().full_name().to_owned());
    let standard =
        ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];
    ours.chain(standard.map(str::to_owned)).collect()
}

#[tokio::test]
async fn every_service_has_a_health_status() {
    let server = Server::dev().await;
    let mut client = client(&server);
    eventually("the server to serve", async || {
        let status = client.check(of("")).await.unwrap().into_inner().status();
        (status == ServingStatus::Serving).then_some(())
    })
    .await;
    for service in services() {
        let status = client.check(of(&service)).await.unwrap().into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{service}");
    }
    for unknown in ["no.Such", "tenantry.messaging.v2", "tenantry.messaging.v2.TenantService/GetTenant"] {
        assert_eq!(client.check(of(unknown)).await.unwrap_err().code(), Code::NotFound, "{unknown}");
    }
    let listed = client.list(HealthListRequest {}).await.unwrap().into_inner().statuses;
    assert!(listed.values().all(|health| health.status() == ServingStatus::Serving), "{listed:?}");
    let expected: BTreeSet<_> = services().into_iter().chain([String::new()]).collect();
    assert_eq!(listed.into_keys().collect::<BTreeSet<_>>(), expected);
}

#[tokio::test]
async fn watching_an_unknown_service_reports_unknown_and_stays_open() {
    let mut server = Server::dev().await;
    let mut watch = client(&server).watch(of("no.Such")).await.unwrap().into_inner();
    let first = tokio::time::timeout(PATIENCE, watch.message()).await.unwrap().unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::ServiceUnknown);
    // The watch stays open until the server shuts down, which it reports.
    server.terminate().await;
    let end = tokio::time::timeout(PATIENCE, watch.message()).await.unwrap().unwrap_err();
    assert_eq!(end.code(), Code::Unavailable, "{end}");
    assert!(server.ended().await.success());
}

#[tokio::test]
async fn watches_are_notified_and_closed_at_shutdown() {
    let mut server = Server::dev().await;
    let mut watch = client(&server).watch(of("tenantry.messaging.v2.TenantService")).await.unwrap().into_inner();
    let mut reported = Vec::new();
    while reported.last() != Some(&ServingStatus::Serving) {
        reported.push(tokio::time::timeout(PATIENCE, watch.message()).await.unwrap().unwrap().unwrap().status());
    }
    server.terminate().await;
    let last = tokio::time::timeout(PATIENCE, watch.message()).await.unwrap().unwrap().unwrap();
    assert_eq!(last.status(), ServingStatus::NotServing);
    let end = tokio::time::timeout(PATIENCE, watch.message()).await.unwrap().unwrap_err();
    assert_eq!(end.code(), Code::Unavailable, "{end}");
    assert!(server.ended().await.success());
}

#[tokio::test]
async fn watches_are_limited_and_calls_are_not() {
    let server = Server::dev().await;
    let mut clients: Vec<_> = (0..8).map(|_| client(&server)).collect();
    let mut open = Vec::new();
    for client in &mut clients {
        for _ in 0..64 {
            let mut watch = client.watch(of("")).await.unwrap().into_inner();
            assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
            open.push(watch);
        }
    }
    let watch = async || client(&server).watch(of("")).await.map(Response::into_inner);
    let refused = watch().await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(refused.message().starts_with("512 such streams are open from this address"), "{refused}");
    assert_eq!(client(&server).check(of("")).await.unwrap().into_inner().status(), ServingStatus::Serving);
    // Closing a watch makes room for another.
    open.pop();
    eventually("room for one more", async || watch().await.ok()).await;
}
