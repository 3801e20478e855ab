//! Temporary passwords on the zero-trust surface: they must be changed before they give access.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::server::Server;

const LOGIN: &str = "/v1/admin/login";

#[tokio::test]
async fn a_platform_account_has_its_policy_at_login_too() {
    let server = Server::dev().await;
    let log_in = async |new: &str| {
        let body = json!({"user": "admin", "password": "admin", "new_password": new}).to_string();
        server.http().call(Method::POST, LOGIN, Some(&body)).await.status
    };
    // Good enough for a user of a tenant.
    assert_eq!(log_in("sunshine#1988").await, 422);
    assert_eq!(log_in("correct horse battery staple").await, 200);
}

#[tokio::test]
async fn a_temporary_password_gives_no_session() {
    let server = Server::dev().await;
    let admin = server.admin();
    let post = async |path: &str, body: Value| {
        let answer = admin.call(Method::POST, path, Some(&body.to_string())).await;
        assert!(answer.status < 300, "{path}: {answer:?}");
        serde_json::from_str::<Value>(&answer.body).unwrap()
    };
    post("/v1/admin/tenants/lifecycle", json!({"action": "create", "slug": "acme"})).await;
    let user = json!({"action": "create", "tenant_id": "acme", "user_id": "ada", "email": "ada@example.com"});
    post("/v1/admin/users/lifecycle", user).await;
    let made = json!({"tenant_id": "acme", "user_id": "ada", "generate": true});
    let made = post("/v1/admin/users/password", made).await;
    let temporary = made["temporary_password"].as_str().unwrap();
    let log_in = async |password: &str, new: Option<&str>| {
        let body = json!({"tenant": "acme", "user": "ada", "password": password, "new_password": new});
        let answer = server.http().call(Method::POST, LOGIN, Some(&body.to_string())).await;
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
        (answer.status, serde_json::from_str::<Value>(&answer.body).unwrap())
    };
    let (status, refused) = log_in(temporary, None).await;
    assert!(status == 403 && refused.to_string().contains("log in again with new_password"), "{refused}");
    for weak in ["short", "aaaaaaaaaaaa", temporary] {
        assert_eq!(log_in(temporary, Some(weak)).await.0, 422, "{weak}");
    }
    let new = "correct horse battery staple";
    assert_eq!(log_in("another password", Some(new)).await.0, 401);
    let (status, session) = log_in(temporary, Some(new)).await;
    assert!(status == 200 && session["must_change_password"] == json!(false), "{status} {session}");
    let own = server.http().token(session["token"].as_str().unwrap());
    assert_eq!(own.get("/v1/admin/session").await.status, 200);
    assert_eq!(log_in(new, None).await.0, 200);
    assert_eq!(log_in(temporary, None).await.0, 401);
}
