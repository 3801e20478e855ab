//! Open manager mode: the documented commands need no token on this machine, and everything else does.

use prost_reflect::DynamicMessage;
use reqwest::Method;
use tonic::Code;

use crate::harness::{
    grpc::{self, Grpc},
    http::Http,
    server::{Server, Setup},
};

const ACME: &str = r#"{"name":"acme"}"#;

async fn create(http: &Http) -> (u16, String) {
    let answer = http.call(Method::POST, "/v1/tenants", Some(ACME)).await;
    (answer.status, answer.json()["error"].as_str().unwrap_or_default().to_owned())
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn the_documented_commands_need_no_token() {
    for setup in [Setup::dev(), Setup::dev().env("KUBEOP_REQUIRE_AUTH", "false")] {
        let server = setup.start().await;
        let http = server.http().header("host", "localhost:18080");
        let made = http.call(Method::POST, "/v1/tenants", Some(ACME)).await;
        assert_eq!(made.status, 200, "{made:?}");
        let id = made.json()["id"].as_str().unwrap().to_owned();
        assert!(http.get("/v1/tenants").await.body.contains(&id));
        assert_eq!(http.get(&format!("/v1/tenants/{id}")).await.status, 200);
        let renamed = format!(r#"{{"ID":"{id}","Name":"acme-inc"}}"#);
        assert_eq!(http.call(Method::PUT, "/v1/tenants", Some(&renamed)).await.status, 204);
        assert_eq!(http.call(Method::DELETE, &format!("/v1/tenants/{id}"), None).await.status, 204);
    }
}

#[tokio::test]
async fn a_foreign_page_or_name_is_refused() {
    let server = Server::dev().await;
    let with = |name, value: &str| server.http().header(name, value);
    for host in ["evil.example", "evil.example:18080", "localhost.evil.example", "127.0.0.1.evil.example"] {
        assert_eq!(create(&with("host", host)).await, refused(403, "forbidden"), "{host}");
    }
    for origin in ["https://evil.example", "null", "http://localhost.evil.example"] {
        assert_eq!(create(&with("origin", origin)).await, refused(403, "forbidden"), "{origin}");
    }
    assert_eq!(create(&with("sec-fetch-site", "cross-site")).await, refused(403, "forbidden"));
    assert_eq!(create(&with("origin", "http://localhost:3000")).await.0, 200, "a local page must be accepted");
}

#[tokio::test]
async fn proxied_calls_need_a_token() {
    let server = Server::dev().await;
    for (name, value) in [
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-for", "127.0.0.1"),
        ("forwarded", "for=203.0.113.7"),
        ("via", "1.1 proxy"),
    ] {
        assert_eq!(create(&server.http().header(name, value)).await, refused(401, "missing token"), "{name}: {value}");
    }
}

#[tokio::test]
async fn form_bodies_are_refused() {
    let server = Server::dev().await;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        let head = format!("POST /v1/tenants HTTP/1.1\r\nContent-Type: {kind}\r\nContent-Length: {}", ACME.len());
        let answer = server.http().raw(&head, ACME).await;
        assert!(answer.starts_with("HTTP/1.1 415") && answer.contains(r#""error":"content type""#), "{answer}");
    }
}

#[tokio::test]
async fn an_invalid_token_is_refused_and_another_scheme_is_ignored() {
    let server = Server::dev().await;
    let with = |header| server.http().header("authorization", header);
    for bad in ["Bearer x", "Bearer "] {
        assert_eq!(create(&with(bad)).await, refused(401, "invalid token"), "{bad}");
    }
    // An unknown authentication scheme counts as no credential, on every surface.
    for other in ["Basic YWRtaW46YWRtaW4=", ""] {
        let listed = with(other).get("/v1/tenants").await;
        assert_eq!(listed.status, 200, "{other}: {listed:?}");
    }
}

#[tokio::test]
async fn grpc_and_other_surfaces_always_need_a_token() {
    let server = Server::dev().await;
    let grpc = Grpc::new(server.address());
    for method in grpc::methods().iter().filter(|method| method.full_name().starts_with("tenantry.manager.")) {
        let error = grpc.call(method, DynamicMessage::new(method.input())).await.unwrap_err();
        assert_eq!(error.code(), Code::Unauthenticated, "{}", method.full_name());
    }
    for path in ["/admin/v2/tenants", "/api/tenant/list"] {
        assert_eq!(server.http().get(path).await.status, 401, "{path}");
    }
    for path in ["/v1/tenants/../../admin/v2/tenants", "/v1/tenants/%2e%2e/%2e%2e/admin/v2/tenants"] {
        let answer = server.http().raw(&format!("GET {path} HTTP/1.1"), "").await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn the_configuration_closes_it() {
    let server = Setup::dev().env("KUBEOP_REQUIRE_AUTH", "true").start().await;
    assert_eq!(create(&server.http()).await, refused(401, "missing token"));
    assert_eq!(create(&server.admin()).await.0, 200);
}

#[tokio::test]
async fn a_server_on_other_addresses_is_never_open_by_default() {
    let setup = Setup::dev();
    let refused = setup.run(&["dev", "--listen", "0.0.0.0:0"]).await;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("--insecure-listen"), "{said}");
    let setup = setup.env("KUBEOP_REQUIRE_AUTH", "false");
    let refused = setup.run(&["serve"]).await;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("KUBEOP_REQUIRE_AUTH"), "{said}");
}
