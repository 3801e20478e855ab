//! The three modes of the control-plane surface: complete, unlicensed, and disabled (control-plane contract,
//! decisions).

use prost_reflect::DynamicMessage;
use reqwest::Method;
use tonic::Code;

use crate::harness::{
    conversation::Ids,
    golden,
    grpc::{self, Grpc},
    server::{Server, Setup},
};

/// Whether the administrator calls, or an anonymous client.
type Line = (bool, &'static str, &'static str, Option<&'static str>);

#[rustfmt::skip]
const LINES: &[Line] = &[
    (true, "GET", "/api/control-plane/status", None),
    (false, "GET", "/api/control-plane/status", None),
    (true, "GET", "/api/control-plane", None),
    (true, "GET", "/api/control-plane?a=b", None),
    (true, "GET", "/api/control-plane/", None),
    (true, "POST", "/api/v1/control-plane/tenants", Some("{")),
    (true, "PUT", "/%61pi/control-plane/any/thing", Some("{}")),
    (true, "DELETE", "/api/control-plane/tenants/acme", None),
    (true, "PATCH", "/api/control-plane/x", Some("{}")),
    (false, "PATCH", "/api/control-plane/x", Some("{}")),
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
    let info = r#"{"name":"Acme","slug":"acme"}"#;
    assert_eq!(server.admin().call(Method::POST, "/api/control-plane/tenants", Some(info)).await.status, 201);
    assert_eq!(server.admin().get("/api/control-plane/status").await.json()["tenant_count"], 1);
}
