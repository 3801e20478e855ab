//! What a gRPC client without proto files can do: list the services by reflection and call each method.

use std::process::Stdio;

use prost_reflect::MethodDescriptor;
use tokio::process::Command;

use crate::harness::{
    self, grpc,
    server::{Server, Setup},
};

/// Runs `buf curl` against the server; returns its output, or the error text of a failure.
async fn buf(server: &Server, path: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(harness::buf())
        .args(["curl", "--protocol", "grpc", "--http2-prior-knowledge", "--reflect-protocol", "grpc-v1"])
        .args(arguments)
        .arg(format!("http://{}{path}", server.address()))
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// Whether a method needs no credential.
fn is_public(method: &MethodDescriptor) -> bool {
    method.parent_service().name() == "BrokerService"
        || ["Login", "GetClientConfig", "Enroll", "RegisterHost"].contains(&method.name())
}

/// Whether only devices and gateways may call a method.
fn is_for_enrolled(method: &MethodDescriptor) -> bool {
    let auth = method.parent_pool().get_extension_by_name("tenantry.options.v1.auth").unwrap();
    let options = method.options();
    let rule = options.get_extension(&auth).as_message().unwrap().clone();
    let callers = rule.get_field_by_name("callers").unwrap().as_list().unwrap().to_vec();
    // CALLER_KIND_DEVICE and CALLER_KIND_GATEWAY.
    !callers.is_empty() && callers.iter().all(|kind| matches!(kind.as_enum_number(), Some(3 | 4)))
}

#[tokio::test]
async fn every_service_is_listed_by_reflection() {
    let server = Server::dev().await;
    let listed = buf(&server, "", &["--list-services"]).await.unwrap();
    let services = grpc::methods().into_iter().map(|method| method.parent_service().full_name().to_owned());
    for service in services.chain(["grpc.health.v1.Health".to_owned()]) {
        assert!(listed.lines().any(|line| line == service), "{service} is not in:\n{listed}");
    }
}

#[tokio::test]
async fn every_method_is_called_by_reflection() {
    let server = Setup::dev().env("TENANTRY_SELF_SERVICE_PROVISIONING", "true").start().await;
    for method in grpc::methods() {
        // A new token for each call, because one of them ends its session.
        let token = server.setup().mint(&["--role", "platform_admin"]).await;
        let authorization = format!("authorization: Bearer {token}");
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        // A stream without an end is asked for what it refuses.
        let resumes = method.is_server_streaming() && method.input().get_field_by_name("revision").is_some();
        let request = if resumes { r#"{"revision": "-1"}"# } else { "{}" };
        let called = buf(&server, &path, &["-H", &authorization, "-d", request]).await;
        // An empty message is invalid for some methods, but it must be the method that says so.
        if let Err(error) = called {
            let answered = ["invalid_argument", "failed_precondition", "not_found"];
            // The administrator's token is minted, so it has no account that could switch.
            let switches = (method.name() == "SwitchAccount").then_some("permission_denied");
            // Only devices and gateways call these.
            let enrolled = is_for_enrolled(&method).then_some("permission_denied");
            let mut answered = answered.into_iter().chain(switches).chain(enrolled);
            assert!(answered.any(|code| error.contains(&format!("\"code\": \"{code}\""))), "{path}: {error}");
        }
        let stranger = buf(&server, &path, &["-d", "{}"]).await;
        match (stranger, is_public(&method)) {
            (Ok(_), public) => assert!(public, "{path} answers strangers"),
            (Err(error), false) => assert!(error.contains("\"code\": \"unauthenticated\""), "{path}: {error}"),
            (Err(error), true) => assert!(error.contains("\"code\": \"invalid_argument\""), "{path}: {error}"),
        }
    }
}
