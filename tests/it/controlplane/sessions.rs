//! Login on the control-plane surface, and switching to tenants with grants.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::{Value, json};
use tenantry::{
    base::{Clock, Cx, Role, TenantRef},
    identity::{self, NewAccount, Password, Passwords},
    store::{Store, StoreConfig},
    tenants,
};

use crate::harness::{
    conversation::Ids,
    eventually, golden,
    http::Http,
    server::{Server, Setup},
};

const PASSWORD: &str = "correct horse battery";

/// A server with the tenants `acme` and `beta`, and the platform account `bob`, which has no grants yet.
async fn prepared(setup: Setup) -> Server {
    let server = setup.start().await;
    std::fs::write(server.setup().home().join("password"), PASSWORD).unwrap();
    create_user(&server, &["--name", "bob", "--email", "bob@example.com"]).await;
    for slug in ["acme", "beta"] {
        create(&server, "/tenants", json!({"name": slug, "slug": slug})).await;
    }
    server
}

async fn create_user(server: &Server, arguments: &[&str]) -> String {
    let arguments = [&["users", "create", "--password-file", "password"], arguments].concat();
    let output = server.setup().run(&arguments).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn create(server: &Server, path: &str, body: Value) -> Value {
    let path = format!("/api/control-plane{path}");
    let answer = server.admin().call(Method::POST, &path, Some(&body.to_string())).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

async fn user(server: &Server, email: &str) -> Value {
    server.admin().get(&format!("/api/control-plane/users?email={email}")).await.json()[0]["id"].clone()
}

async fn try_login(server: &Server, body: Value) -> (u16, Value) {
    let answer = server.http().call(Method::POST, "/api/login", Some(&body.to_string())).await;
    (answer.status, answer.json())
}

async fn login(server: &Server, userid: &str) -> Http {
    let (status, answer) = try_login(server, json!({"userid": userid, "password": PASSWORD})).await;
    assert_eq!(status, 200, "{answer}");
    server.http().token(token(&answer))
}

fn token(answer: &Value) -> String {
    answer["Authorization"].as_str().unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
}

fn claims(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// A time in seconds since the epoch, as text.
fn rfc3339(seconds: i64) -> String {
    let time = time::OffsetDateTime::from_unix_timestamp(seconds).unwrap();
    time.format(&time::format_description::well_known::Rfc3339).unwrap()
}

async fn switch(http: &Http, to: Value) -> (u16, Value) {
    let body = json!({"tenant_id": to}).to_string();
    let answer = http.call(Method::POST, "/api/auth/switch-account", Some(&body)).await;
    (answer.status, answer.json())
}

async fn status(http: &Http, path: &str) -> u16 {
    http.get(&format!("/api/control-plane{path}")).await.status
}

/// The accounts in the list.
async fn accounts(http: &Http) -> Vec<(String, String, bool)> {
    let listed = http.get("/api/auth/accounts").await.json();
    let accounts = listed["accounts"].as_array().unwrap();
    assert_eq!(listed["total"], accounts.len());
    let text = |account: &Value, member: &str| account[member].as_str().unwrap().to_owned();
    let shown = |a: &Value| (text(a, "slug"), text(a, "role"), a["is_default"].as_bool().unwrap());
    accounts.iter().map(shown).collect()
}

#[tokio::test]
async fn an_administrator_logs_in_for_an_hour_on_this_surface() {
    let server = prepared(Setup::dev()).await;
    assert_eq!(
        create_user(&server, &["--admin", "ops", "--email", "ops@example.com"]).await.trim(),
        "created the platform administrator ops"
    );
    for userid in ["ops", "OPS@example.com"] {
        let http = login(&server, userid).await;
        assert_eq!(status(&http, "/tenants").await, 200);
        assert_eq!(http.get("/admin/v2/tenants").await.status, 401, "the token must be valid on one surface only");
    }
    let (_, answer) = try_login(&server, json!({"userid": "ops", "password": PASSWORD})).await;
    let claims = claims(&token(&answer));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
    assert_eq!(
        (&claims["aud"], &claims["role"], &claims["sub"]),
        (&json!(["control-plane"]), &json!("platform_admin"), &json!("ops"))
    );
}

#[tokio::test]
async fn grants_open_tenants_until_they_are_deleted() {
    let server = prepared(Setup::dev()).await;
    let nowhere = login(&server, "bob").await;
    assert_eq!((status(&nowhere, "/status").await, status(&nowhere, "/tenants").await), (200, 403));
    assert!(accounts(&nowhere).await.is_empty());

    let bob = user(&server, "bob@example.com").await;
    let end = rfc3339(Clock::system().unix() + 7200);
    let support =
        json!({"user_id": bob, "tenant_id": "beta", "role": "support", "expires_at": end, "reason": "a test"});
    create(&server, "/grants", support).await;
    let grant = json!({"user_id": bob, "tenant_id": "acme", "role": "admin", "is_default": true});
    let grant = create(&server, "/grants", grant).await;

    let http = login(&server, "bob").await;
    assert_eq!(status(&http, "/tenants/acme").await, 200, "a login must start in the tenant of the default grant");
    assert_eq!(status(&http, "/tenants/beta").await, 403);
    let listed = [("beta".to_owned(), "support".to_owned(), false), ("acme".to_owned(), "admin".to_owned(), true)];
    assert_eq!(accounts(&http).await, listed);

    let (_, support) = switch(&http, json!("BETA")).await;
    let support = token(&support);
    assert_eq!((&claims(&support)["role"], &claims(&support)["sub"]), (&json!("read_only"), &json!("bob")));
    let there = server.http().token(support);
    assert_eq!((status(&there, "/tenants/beta").await, status(&there, "/status").await), (403, 200));
    let (_, home) = switch(&there, Value::Null).await;
    assert_eq!((&claims(&token(&home))["role"], &claims(&token(&home))["tenant"]), (&json!("user"), &Value::Null));

    let path = format!("/api/control-plane/grants/{}", grant["id"].as_str().unwrap());
    assert_eq!(server.admin().call(Method::DELETE, &path, None).await.status, 204);
    for http in [&http, &there, &nowhere] {
        eventually("the end of the sessions", async || (status(http, "/status").await == 401).then_some(())).await;
    }
    assert_eq!(accounts(&login(&server, "bob").await).await, &listed[..1]);
}

#[tokio::test]
async fn a_session_ends_with_the_grant_and_with_the_session_that_it_came_from() {
    let server = prepared(Setup::dev()).await;
    let bob = user(&server, "bob@example.com").await;
    let soon = Clock::system().unix() + 600;
    let end = rfc3339(soon);
    let grant = json!({"user_id": bob, "tenant_id": "beta", "role": "support", "expires_at": end, "reason": "a test"});
    create(&server, "/grants", grant).await;
    let (_, answer) = try_login(&server, json!({"userid": "bob", "password": PASSWORD})).await;
    assert_eq!(claims(&token(&answer))["exp"], soon, "a login must start in the tenant of the only grant");
    let http = server.http().token(token(&answer));
    let (_, home) = switch(&http, Value::Null).await;
    assert_eq!(claims(&token(&home))["exp"], soon, "switching must not extend the session");
}

#[tokio::test]
async fn switching_requires_a_grant() {
    let server = prepared(Setup::dev()).await;
    let http = login(&server, "bob").await;
    let refused = (403, json!({"detail": "You do not have access to the selected account."}));
    for to in [json!("acme"), json!("missing"), json!("a\0b"), json!("0191f3a4-7c10-7b2e-9d31-5a6b7c8d9e0f"), json!("")]
    {
        assert_eq!(switch(&http, to.clone()).await, refused, "{to}");
    }
    assert_eq!(switch(&server.admin(), Value::Null).await, refused, "a minted token must not have grants");
    let answer = http.call(Method::POST, "/api/auth/switch-account", None).await;
    assert_eq!((answer.status, &answer.json()["detail"][0]["loc"]), (422, &json!(["body"])));
    assert_eq!(server.http().get("/api/auth/accounts").await.status, 401);
}

#[tokio::test]
async fn an_account_of_a_tenant_logs_in_by_either_name_and_has_no_grants() {
    let server = prepared(Setup::dev()).await;
    let bob = user(&server, "bob@example.com").await;
    create(&server, "/grants", json!({"user_id": bob, "tenant_id": "beta", "role": "admin"})).await;
    // An account in `acme` that claims the address of another person.
    let url = format!("sqlite:{}", server.setup().data_dir().join("tenantry.db").display());
    let store = Store::open(StoreConfig::new(&url)).await.unwrap();
    let cx = Cx::system("test", store.clock().clone());
    let (_, acme) = tenants::resolve(&cx, &store, &TenantRef::parse("acme")).await.unwrap();
    let password = Password::of_development(PASSWORD);
    let account = NewAccount {
        email: Some(identity::Email::read("bob@example.com").unwrap()),
        ..NewAccount::login(Some(acme), "bob", password, Role::Admin)
    };
    identity::create_account(&store, &Passwords::new(1), &cx, account).await.unwrap();
    store.close().await;

    let http = login(&server, "ACME/bob").await;
    assert_eq!((status(&http, "/tenants/acme").await, status(&http, "/tenants/beta").await), (200, 403));
    assert!(accounts(&http).await.is_empty(), "an address of a tenant's account must not match grants");
    assert_eq!(switch(&http, json!("beta")).await.0, 403);
    let (status, answer) = try_login(&server, json!({"userid": "bob", "tenant": "acme", "password": PASSWORD})).await;
    assert_eq!((status, &claims(&token(&answer))["sub"]), (200, &json!("acme/bob")));
}

#[tokio::test]
async fn failed_logins_answer_as_documented() {
    let server = Server::dev().await;
    eventually("dev to make its account", async || {
        let (status, _) = try_login(&server, json!({"userid": "admin", "password": "admin"})).await;
        (status == 200).then_some(())
    })
    .await;
    let mut ids = Ids::default();
    let mut written = String::new();
    for (method, path, body) in [
        ("POST", "/api/login", Some(r#"{"userid":"admin","password":"admin","remember":true}"#)),
        ("POST", "/api/login", Some("{}")),
        ("POST", "/api/login", None),
        ("POST", "/api/login", Some(r#"{"userid":"admin","password":12345}"#)),
        ("POST", "/api/login", Some(r#"{"userid":5,"password":"x"}"#)),
        ("POST", "/api/login", Some(r#"{"userid":"admin","password":"wrong"}"#)),
        ("POST", "/api/login", Some(r#"{"userid":"a\u0000b","password":"wrong","tenant":"a\u0000b"}"#)),
        ("GET", "/api/login", None),
        ("POST", "/api/login/", Some("{}")),
        ("GET", "/api/auth/accounts", None),
        ("POST", "/api/auth/accounts", Some("{}")),
        ("POST", "/api/auth/switch-account", Some("{")),
    ] {
        written.push_str(&ids.say("nobody", &server.http(), (method, path, body)).await);
    }
    golden::check("controlplane/login.txt", &written);
}

#[tokio::test]
async fn an_account_with_grants_needs_an_address() {
    let setup = Setup::dev();
    for arguments in [&["--name", "bob"][..], &[], &["--name", "bob", "--admin", "ops", "--email", "b@example.com"]] {
        let output = setup.run(&[&["users", "create"], arguments].concat()).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}
