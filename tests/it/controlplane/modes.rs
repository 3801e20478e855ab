//! The three modes of the control-plane surface: complete, unlicensed, and disabled (control-plane contract,
//! decisions).

use prost_reflect::DynamicMessage;
use reqwest::Method;
use tonic::Code;

use crate::{
    db::postgres_unmigrated,
    harness::{
        conversation::Ids,
        golden,
        grpc::{self, Grpc},
        server::{Server, Setup},
    },
};

/// Whether the administrator calls, or an anonymous client.
type Line = (bool, &'static str, &'static str, Option<&'static str>);

#[rustfmt::skip]
const LINES: &[Line] = &[
    (true, "GET", "/api/control-plane/status", None),
    (false, "GET", "/api/control-plane/status", None),
    (true, "GET", "/api/v1/control-plane/status", None),
    (false, "GET", "/api/v1/control-plane/status", None),
    (true, "GET", "/api/control-plane", None),
    (true, "GET", "/api/control-plane?a=b", None),
    (true, "GET", "/api/control-plane/", None),
    (true, "POST", "/api/v1/control-plane/tenants", Some("{")),
    (true, "PUT", "/%61pi/control-plane/any/thing", Some("{}")),
    (true, "DELETE", "/api/control-plane/tenants/acme", None),
    (true, "PATCH", "/api/control-plane/x", Some("{}")),
    (false, "PATCH", "/api/control-plane/x", Some("{}")),
    (false, "POST", "/api/v1/control-plane/tenants", Some("{")),
    (true, "OPTIONS", "/api/control-plane/status", None),
    (true, "HEAD", "/api/control-plane/status", None),
    (false, "POST", "/api/login", Some("{}")),
    (false, "POST", "/api/host/register", Some("{}")),
    (true, "GET", "/api/auth/accounts", None),
    (true, "POST", "/api/auth/switch-account", Some(r#"{"tenant_id":null}"#)),
    (true, "GET", "/admin/v2/tenants", None),
];

async fn run_conversation(server: &Server) -> String {
    let (mut ids, mut written) = (Ids::default(), String::new());
    for (known, method, path, body) in LINES {
        let (who, http) = if *known { ("admin", server.admin()) } else { ("nobody", server.http()) };
        written.push_str(&ids.say(who, &http, (method, path, *body)).await);
    }
    written
}

/// The gRPC codes of the surface's methods that depend on the mode, with and without a token.
async fn over_grpc(server: &Server) -> Vec<(Code, Code)> {
    let grpc = Grpc::new(server.address());
    let known = grpc.clone().token(server.admin_token());
    let mut codes = Vec::new();
    for method in grpc::methods() {
        let service = method.parent_service();
        // Strangers may register a host in every mode.
        let is_public = service.name() == "SessionService" || method.name() == "RegisterHost";
        if service.full_name().starts_with("tenantry.controlplane.") && !is_public {
            let message = || DynamicMessage::new(method.input());
            let code = |outcome: Result<DynamicMessage, tonic::Status>| outcome.map_or_else(|e| e.code(), |_| Code::Ok);
            codes.push((code(grpc.call(&method, message()).await), code(known.call(&method, message()).await)));
        }
    }
    assert!(codes.len() >= 13, "{codes:?}");
    codes
}

#[tokio::test]
async fn without_the_license_everything_but_the_login_is_the_stub() {
    let server = Setup::dev().env("TENANTRY_FEATURES", "reports").start().await;
    golden::check("controlplane/unlicensed.txt", &run_conversation(&server).await);
    for codes in over_grpc(&server).await {
        assert_eq!(codes, (Code::Unauthenticated, Code::Unimplemented));
    }
    let answer = server.admin().get("/api/control-plane/whatever").await;
    assert!(answer.status == 501 && answer.body.contains("licensed"), "{answer:?}");
}

#[tokio::test]
async fn disabled_it_has_only_the_login() {
    let server = Setup::dev().env("TENANTRY_MULTITENANCY", "false").start().await;
    golden::check("controlplane/disabled.txt", &run_conversation(&server).await);
    for codes in over_grpc(&server).await {
        assert_eq!(codes, (Code::Unimplemented, Code::Unimplemented));
    }
}

#[tokio::test]
async fn the_status_reports_what_is_enabled() {
    let server = Setup::dev().env("TENANTRY_SELF_SERVICE_PROVISIONING", "true").start().await;
    let status = server.admin().get("/api/control-plane/status").await.json();
    assert_eq!(
        status,
        serde_json::json!({
            "multitenancy_enabled": true,
            "tenant_count": 0,
            "self_service_provisioning": true,
            "provisioner_configured": false
        })
    );
}

#[tokio::test]
async fn the_status_counts_tenants_in_every_status() {
    for server in [Setup::dev().start().await, Setup::dev().database(postgres_unmigrated().await).start().await] {
        let admin = server.admin();
        let count = async || {
            let of = async |path: &str| admin.get(path).await.json()["tenant_count"].as_i64().unwrap();
            let count = of("/api/control-plane/status").await;
            assert_eq!(of("/api/v1/control-plane/status").await, count);
            count
        };
        for name in ["acme", "beta", "gamma"] {
            let body = format!(r#"{{"name":"{name}","slug":"{name}"}}"#);
            let made = admin.call(Method::POST, "/api/v1/control-plane/tenants", Some(&body)).await;
            assert_eq!(made.status, 201, "{made:?}");
        }
        assert_eq!(count().await, 3);
        for body in [
            r#"{"action":"suspend","tenant_id":"beta"}"#,
            r#"{"action":"delete","tenant_id":"gamma","confirm_slug":"gamma"}"#,
        ] {
            let done = admin.call(Method::POST, "/v1/admin/tenants/lifecycle", Some(body)).await;
            assert_eq!(done.status, 200, "{done:?}");
        }
        assert_eq!(count().await, 3, "a suspended tenant, and one in its grace period, count");
        let purge = r#"{"action":"delete","tenant_id":"beta","confirm_slug":"beta","purge":true}"#;
        let done = admin.call(Method::POST, "/v1/admin/tenants/lifecycle", Some(purge)).await;
        assert_eq!(done.status, 200, "{done:?}");
        assert_eq!(count().await, 2);
    }
}

#[tokio::test]
async fn a_provisioner_needs_a_database_server_and_openbao() {
    // Nothing listens there, and nothing is called for the status.
    let postgres = ("TENANTRY_PROVISIONER_URL", "postgres://nobody:secret@127.0.0.1:1/postgres");
    let openbao = [("TENANTRY_OPENBAO_ADDR", "http://127.0.0.1:1"), ("TENANTRY_OPENBAO_TOKEN", "a-token")];
    for (with_postgres, with_openbao) in [(true, false), (false, true), (true, true)] {
        let set = with_postgres.then_some(postgres).into_iter().chain(openbao.into_iter().filter(|_| with_openbao));
        let server = set.fold(Setup::dev(), |setup, (name, value)| setup.env(name, value)).start().await;
        for prefix in ["/api/control-plane", "/api/v1/control-plane"] {
            let status = server.admin().get(&format!("{prefix}/status")).await.json();
            assert_eq!(status["provisioner_configured"], with_postgres && with_openbao, "{status}");
            assert_eq!(status["self_service_provisioning"], false, "{status}");
        }
    }
}

#[tokio::test]
async fn self_service_needs_the_surface() {
    let setup = Setup::dev().env("TENANTRY_SELF_SERVICE_PROVISIONING", "true").env("TENANTRY_MULTITENANCY", "false");
    let server = setup.start().await;
    for prefix in ["/api/control-plane", "/api/v1/control-plane"] {
        let answer = server.admin().get(&format!("{prefix}/status")).await;
        assert_eq!((answer.status, answer.body.as_str()), (404, r#"{"detail":"Not Found"}"#));
    }
}
