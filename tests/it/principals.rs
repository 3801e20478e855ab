//! Original principals on the messaging surface: a call through a proxy needs the permissions of both, on REST
//! and gRPC alike.

use prost_reflect::DynamicMessage;
use reqwest::Method;
use serde_json::json;
use tonic::Code;

use crate::harness::{
    eventually,
    grpc::{self, Grpc},
    http::Answer,
    server::{Server, Setup},
};

const TENANTS: &str = "/admin/v2/tenants";
const SPACES: &str = "/admin/v2/namespaces/acme";

/// A server whose tenant `acme` has the admin role `ops` and the users `ada`, `eve` (admin) and `rita` (read_only).
async fn serve(proxies: &str) -> Server {
    let server = Setup::dev().env("TENANTRY_MESSAGING_PROXY_ROLES", proxies).start().await;
    let admin = server.admin();
    let info = r#"{"adminRoles":["ops"],"allowedClusters":["standalone"]}"#;
    assert_eq!(admin.put("/admin/v2/tenants/acme", info).await.status, 204);
    for (id, role) in [("ada", "admin"), ("eve", "admin"), ("rita", "read_only")] {
        let user = json!({"action": "create", "tenant_id": "acme", "user_id": id, "email": format!("{id}@example.com"),
            "role": role, "password": "correct horse battery staple"});
        let made = admin.call(Method::POST, "/v1/admin/users/lifecycle", Some(&user.to_string())).await;
        assert_eq!(made.status, 201, "{made:?}");
    }
    // `dev` creates its account in the background.
    let root = platform(&server, "root").await;
    eventually("the account of dev", async || {
        (get(&server, &root, "admin", TENANTS).await.status == 200).then_some(())
    })
    .await;
    server
}

async fn platform(server: &Server, subject: &str) -> String {
    server.setup().mint(&["--role", "platform_admin", "--sub", subject]).await
}

async fn get(server: &Server, token: &str, principal: &str, path: &str) -> Answer {
    server.http().token(token).header("x-original-principal", principal).get(path).await
}

/// The gRPC code of a list of all tenants.
async fn list(server: &Server, token: &str, principal: &str) -> Code {
    let name = "tenantry.messaging.v2.TenantService.ListTenants";
    let method = grpc::methods().into_iter().find(|method| method.full_name() == name).unwrap();
    let client = Grpc::new(server.address()).token(token).principal(principal);
    client.call(&method, DynamicMessage::new(method.input())).await.map_or_else(|status| status.code(), |_| Code::Ok)
}

#[tokio::test]
async fn a_call_needs_the_permissions_of_the_caller_and_of_the_principal() {
    let server = serve("proxy").await;
    let root = platform(&server, "root").await;
    for (principal, status, code) in [
        ("nobody", 403, Code::PermissionDenied),
        ("acme/ada", 403, Code::PermissionDenied),
        ("acme/nobody", 403, Code::PermissionDenied),
        ("nowhere/ada", 403, Code::PermissionDenied),
        ("Admin", 403, Code::PermissionDenied),
        ("admin, root", 403, Code::PermissionDenied),
        ("admin", 200, Code::Ok),
        ("root", 200, Code::Ok),
        (" ", 200, Code::Ok),
    ] {
        let answer = get(&server, &root, principal, TENANTS).await;
        assert_eq!(answer.status, status, "{principal}: {answer:?}");
        assert_eq!(list(&server, &root, principal.trim()).await, code, "{principal}");
    }
    for (principal, status) in [("nobody", 403), ("ops", 200), ("acme/ada", 200), ("acme/rita", 200), ("admin", 200)] {
        let answer = get(&server, &root, principal, SPACES).await;
        assert_eq!(answer.status, status, "{principal}: {answer:?}");
        let made = server.http().token(&root).header("x-original-principal", principal);
        let made = made.put(&format!("{SPACES}/of-{}", principal.replace('/', "-")), "{}").await;
        let want = if principal == "acme/rita" { 403 } else { status.max(204) };
        assert_eq!(made.status, want, "{principal}: {made:?}");
    }
    // The reverse: the principal has permissions that the caller lacks.
    let weak = server.setup().mint(&["--role", "read_only", "--tenant", "acme", "--sub", "weak"]).await;
    assert_eq!(get(&server, &weak, "admin", TENANTS).await.status, 403);
    assert_eq!(get(&server, &weak, "admin", SPACES).await.status, 200);
    assert_eq!(get(&server, &weak, "nobody", SPACES).await.status, 403);
    // On other surfaces the header is ignored.
    let cross = server.admin().header("x-original-principal", "nobody");
    assert_eq!(cross.get("/v1/admin/tenants").await.status, 200);
}

#[tokio::test]
async fn a_proxy_must_name_a_principal_and_never_acts_itself() {
    let server = serve("proxy, edge").await;
    let proxy = platform(&server, "proxy").await;
    let silent = server.http().token(&proxy).get(TENANTS).await;
    let text = "Invalid combination of Original principal cannot be empty if the request is via proxy.";
    assert_eq!((silent.status, silent.json()["reason"].as_str()), (401, Some(text)), "{silent:?}");
    for (principal, status) in [(" ", 401), ("proxy", 401), ("edge", 401), ("admin", 200), ("nobody", 403)] {
        let answer = get(&server, &proxy, principal, TENANTS).await;
        assert_eq!(answer.status, status, "{principal}: {answer:?}");
    }
    let twice = server.http().token(&proxy).header("x-original-principal", "admin");
    assert_eq!(twice.header("x-original-principal", "admin").get(TENANTS).await.status, 401);
    assert_eq!(list(&server, &proxy, "admin").await, Code::Ok);
    assert_eq!(list(&server, &proxy, "nobody").await, Code::PermissionDenied);
    assert_eq!(list(&server, &proxy, "").await, Code::Unauthenticated);
}

#[tokio::test]
async fn a_suspended_principal_has_no_permissions() {
    let server = serve("proxy").await;
    let proxy = platform(&server, "proxy").await;
    assert_eq!(get(&server, &proxy, "acme/ada", SPACES).await.status, 200);
    let suspend = json!({"tenant_id": "acme", "user_id": "ada", "reason": "gone"}).to_string();
    let answer = server.admin().call(Method::POST, "/v1/admin/users/suspend", Some(&suspend)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(get(&server, &proxy, "acme/ada", SPACES).await.status, 403);
    assert_eq!(get(&server, &proxy, "acme/eve", SPACES).await.status, 200);
}

#[tokio::test]
async fn an_inactive_account_administers_nothing_by_its_name() {
    let server = serve("proxy").await;
    let (admin, proxy) = (server.admin(), platform(&server, "proxy").await);
    let names = r#"{"adminRoles":["acme/ada","acme/rita","acme/new","dock/eve","acme/nobody"],"allowedClusters":["standalone"]}"#;
    for tenant in ["other", "dock"] {
        assert_eq!(admin.put(&format!("/admin/v2/tenants/{tenant}"), names).await.status, 204);
    }
    let post = async |path: &str, body: serde_json::Value| {
        let answer = admin.call(Method::POST, path, Some(&body.to_string())).await;
        assert!(answer.status < 300, "{path}: {answer:?}");
    };
    let user = |tenant: &str, id: &str| {
        json!({"action": "create", "tenant_id": tenant, "user_id": id, "email": format!("{id}@example.com"), "role": "user",
            "password": "correct horse battery staple"})
    };
    post("/v1/admin/users/lifecycle", user("dock", "eve")).await;
    // A user without a chosen id has its own id as name.
    let unnamed = json!({"action": "create", "tenant_id": "acme", "email": "zoe@example.com", "password": "correct horse battery staple"});
    let unnamed = admin.call(Method::POST, "/v1/admin/users/lifecycle", Some(&unnamed.to_string())).await.json();
    let unnamed = unnamed["user"]["id"].as_str().unwrap().to_owned();
    let zoe = format!("acme/{unnamed}");
    let names = names.replace("acme/nobody", &format!("acme/nobody\",\"{zoe}"));
    assert_eq!(admin.call(Method::POST, "/admin/v2/tenants/other", Some(&names)).await.status, 204);
    let others = "/admin/v2/namespaces/other";
    for principal in ["acme/ada", "acme/rita", "dock/eve", "acme/nobody", &zoe] {
        assert_eq!(get(&server, &proxy, principal, others).await.status, 200, "{principal}");
    }
    post("/v1/admin/users/suspend", json!({"tenant_id": "acme", "user_id": "ada", "reason": "gone"})).await;
    let delete = json!({"action": "delete", "tenant_id": "acme", "user_id": "rita", "reason": "gone"});
    post("/v1/admin/users/lifecycle", delete).await;
    post("/v1/admin/tenants/lifecycle", json!({"action": "suspend", "tenant_id": "dock", "reason": "unpaid"})).await;
    let delete = json!({"action": "delete", "tenant_id": "acme", "user_id": unnamed, "reason": "gone"});
    post("/v1/admin/users/lifecycle", delete).await;
    for principal in ["acme/ada", "acme/rita", "dock/eve", &zoe] {
        let answer = get(&server, &proxy, principal, others).await;
        assert_eq!(answer.status, 403, "{principal}: {answer:?}");
        assert_eq!(list(&server, &proxy, principal).await, Code::PermissionDenied, "{principal}");
    }
    assert_eq!(get(&server, &proxy, "acme/nobody", others).await.status, 200, "an unknown principal must be accepted");
    assert_eq!(get(&server, &proxy, "acme/Ada", others).await.status, 403, "subjects must be case-sensitive");
    // Under a name that a tenant gave up, nobody acts.
    post("/v1/admin/tenants/lifecycle", json!({"action": "update", "tenant_id": "acme", "slug": "acme-two"})).await;
    for principal in ["acme/ada", "acme/rita", "acme/nobody"] {
        assert_eq!(get(&server, &proxy, principal, others).await.status, 403, "{principal}");
    }
    let purge = json!({"action": "delete", "tenant_id": "dock", "confirm_slug": "dock", "purge": true});
    post("/v1/admin/tenants/lifecycle", purge).await;
    assert_eq!(get(&server, &proxy, "dock/eve", others).await.status, 403);
}

#[tokio::test]
async fn a_subject_in_another_case_administers_nothing() {
    let server = serve("proxy").await;
    let (admin, proxy) = (server.admin(), platform(&server, "proxy").await);
    let post = async |path: &str, body: serde_json::Value| {
        let answer = admin.call(Method::POST, path, Some(&body.to_string())).await;
        assert!(answer.status < 300, "{path}: {answer:?}");
    };
    let created = admin.put("/admin/v2/tenants/CaseCo", r#"{"allowedClusters":["standalone"]}"#).await;
    assert_eq!(created.status, 204, "{created:?}");
    for id in ["ada", "bob", "Eve"] {
        let user = json!({"action": "create", "tenant_id": "CaseCo", "user_id": id, "email": format!("{id}@example.com"),
            "role": "user", "password": "correct horse battery staple"});
        post("/v1/admin/users/lifecycle", user).await;
    }
    let subjects = [
        "CaseCo/ada",
        "CaseCo/bob",
        "CaseCo/Eve",
        "caseco/ada",
        "caseco/bob",
        "caseco/Eve",
        "CaseCo/Ada",
        "CaseCo/BOB",
        "caseco/BOB",
        "CaseCo/ada@example.com",
        "CaseCo/bob@example.com",
        "CaseCo/zoe",
        "Admin",
        "caseco/zoe",
    ];
    let roles = json!({"adminRoles": subjects, "allowedClusters": ["standalone"]}).to_string();
    assert_eq!(admin.put("/admin/v2/tenants/target", &roles).await.status, 204);
    let admitted = async || {
        let mut admitted = Vec::new();
        for subject in subjects {
            match get(&server, &proxy, subject, "/admin/v2/namespaces/target").await.status {
                200 => admitted.push(subject),
                403 => assert_eq!(list(&server, &proxy, subject).await, Code::PermissionDenied, "{subject}"),
                status => panic!("{subject}: {status}"),
            }
        }
        admitted
    };
    let by_address = "CaseCo/bob@example.com";
    assert_eq!(
        admitted().await,
        ["CaseCo/ada", "CaseCo/bob", "CaseCo/Eve", "CaseCo/ada@example.com", by_address, "CaseCo/zoe"]
    );
    post("/v1/admin/users/suspend", json!({"tenant_id": "CaseCo", "user_id": "bob", "reason": "gone"})).await;
    assert_eq!(admitted().await, ["CaseCo/ada", "CaseCo/Eve", "CaseCo/ada@example.com", "CaseCo/zoe"]);
    // Under the spelling that the tenant gave up, nobody acts.
    post("/v1/admin/tenants/lifecycle", json!({"action": "update", "tenant_id": "CaseCo", "slug": "caseco"})).await;
    assert_eq!(admitted().await, ["caseco/ada", "caseco/Eve", "caseco/zoe"]);
    post(
        "/v1/admin/users/lifecycle",
        json!({"action": "delete", "tenant_id": "caseco", "user_id": "bob", "reason": "x"}),
    )
    .await;
    assert_eq!(admitted().await, ["caseco/ada", "caseco/Eve", "caseco/zoe"], "nor does a deleted account");
    post("/v1/admin/tenants/lifecycle", json!({"action": "suspend", "tenant_id": "caseco", "reason": "unpaid"})).await;
    assert_eq!(admitted().await, ["caseco/zoe"], "no account of a suspended tenant");
}
