//! The token of the server: obtained, renewed and replaced.

use std::{fs, path::Path, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};
use tenantry::openbao::{Cause, Credential, Health, OpenBao, SecretId};

use super::{
    fake::{Fake, Fault, ROLE_ID, SECRET_ID},
    name, secret,
};
use crate::harness::openbao::{OpenBaoServer, settings};

/// Does what the job does, for this long. Fails if the identity cannot be kept.
async fn tend_for(app: &OpenBao, time: Duration) {
    let end = tokio::time::Instant::now() + time;
    while tokio::time::Instant::now() < end {
        if app.is_due() {
            app.tend().await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A server with an AppRole whose tokens are valid for this long at most.
async fn with_role(token: Value) -> (OpenBaoServer, String) {
    let bao = OpenBaoServer::start().await;
    bao.bootstrap(&["approle"], "").await;
    let mut role = json!({"token_policies": ["tenantry"], "token_period": 0});
    role.as_object_mut().unwrap().extend(token.as_object().unwrap().clone());
    bao.admin(Method::POST, "auth/approle/role/tenantry", role).await;
    let id = bao.admin(Method::GET, "auth/approle/role/tenantry/role-id", Value::Null).await;
    let id = id["data"]["role_id"].as_str().unwrap().to_owned();
    (bao, id)
}

async fn secret_id(bao: &OpenBaoServer) -> String {
    let made = bao.admin(Method::POST, "auth/approle/role/tenantry/secret-id", json!({})).await;
    made["data"]["secret_id"].as_str().unwrap().to_owned()
}

fn app_role(bao: &OpenBaoServer, role_id: &str, secret_id: SecretId) -> OpenBao {
    OpenBao::new(bao.settings(Credential::AppRole { role_id: secret(role_id), secret_id })).unwrap()
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_periodic_token_is_kept_alive() {
    let bao = OpenBaoServer::start().await;
    bao.server_token().await;
    let short = json!({"policies": ["tenantry"], "period": "3s", "no_parent": true});
    let made = || bao.admin(Method::POST, "auth/token/create", short.clone());
    let (kept, left) = (made().await, made().await);
    let token = |made: &Value| made["auth"]["client_token"].as_str().unwrap().to_owned();
    let app = OpenBao::new(bao.settings(Credential::Token(secret(&token(&kept))))).unwrap();
    tend_for(&app, Duration::from_secs(8)).await;
    assert_eq!((app.health(), app.identity().generation()), (Health::Ok, 1));
    assert_eq!(app.find_role(&name("none")).await.unwrap(), None);
    // Without renewal it ends.
    let (status, _) = bao.api(Method::GET, "auth/token/lookup-self", &token(&left), Value::Null).await;
    assert_eq!(status, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_is_repeated_when_its_token_reaches_its_longest_life() {
    let (bao, role_id) = with_role(json!({"token_ttl": "3s", "token_max_ttl": "4s"})).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    write(file.path(), &format!("{}\n", secret_id(&bao).await));
    let app = app_role(&bao, &role_id, SecretId::File(file.path().to_owned()));
    tend_for(&app, Duration::from_secs(9)).await;
    assert!((3..=8).contains(&app.identity().generation()), "{:?}", app.identity());
    assert_eq!(app.find_role(&name("none")).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_with_a_token_that_was_revoked_logs_in_again() {
    let (bao, role_id) = with_role(json!({"token_ttl": "1h"})).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    write(file.path(), &secret_id(&bao).await);
    let app = app_role(&bao, &role_id, SecretId::File(file.path().to_owned()));
    // The first call logs in by itself; concurrent ones share the login.
    let all = (0..8).map(|_| async { app.find_role(&name("none")).await });
    for found in futures::future::join_all(all).await {
        assert_eq!(found.unwrap(), None);
    }
    assert_eq!(app.identity().generation(), 1);
    bao.admin(Method::PUT, "sys/leases/revoke-prefix/auth/approle/login", json!({"sync": true})).await;
    let all = (0..8).map(|_| async { app.find_role(&name("none")).await });
    for found in futures::future::join_all(all).await {
        assert_eq!(found.unwrap(), None);
    }
    assert_eq!(app.identity().generation(), 2);
    write(file.path(), "");
    bao.admin(Method::PUT, "sys/leases/revoke-prefix/auth/approle/login", json!({"sync": true})).await;
    let refused = app.find_role(&name("none")).await.unwrap_err();
    assert_eq!(refused.cause, Cause::SecretIdFile);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrapped_secret_id_is_unwrapped_once_and_kept() {
    let (bao, role_id) = with_role(json!({"token_ttl": "1h"})).await;
    let wrapped = async || bao.bootstrap(&["approle"], "").await[1].clone();
    let file = tempfile::NamedTempFile::new().unwrap();
    write(file.path(), &wrapped().await);
    let app = app_role(&bao, &role_id, SecretId::WrappedFile(file.path().to_owned()));
    app.tend().await.unwrap();
    bao.admin(Method::PUT, "sys/leases/revoke-prefix/auth/approle/login", json!({"sync": true})).await;
    assert_eq!(app.find_role(&name("none")).await.unwrap(), None, "it logs in with the secret id that it kept");
    // Another process finds it used up.
    let late = app_role(&bao, &role_id, SecretId::WrappedFile(file.path().to_owned()));
    assert_eq!(late.tend().await.unwrap_err().cause, Cause::WrappingInvalid);
    assert_eq!(late.health().word(), "login_refused");
    // A new one is taken without a restart, also if the kept secret id ends.
    write(file.path(), &wrapped().await);
    late.tend().await.unwrap();
    let accessors = bao.admin(Method::GET, "auth/approle/role/tenantry/secret-id?list=true", Value::Null).await;
    for accessor in accessors["data"]["keys"].as_array().unwrap() {
        let body = json!({"secret_id_accessor": accessor});
        bao.admin(Method::POST, "auth/approle/role/tenantry/secret-id-accessor/destroy", body).await;
    }
    bao.admin(Method::PUT, "sys/leases/revoke-prefix/auth/approle/login", json!({"sync": true})).await;
    assert_eq!(app.find_role(&name("none")).await.unwrap_err().cause, Cause::LoginRefused);
    write(file.path(), &wrapped().await);
    assert_eq!(app.find_role(&name("none")).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_token_in_the_file_is_taken() {
    let bao = OpenBaoServer::start().await;
    let (first, second) = (bao.server_token().await, bao.server_token().await);
    let file = tempfile::NamedTempFile::new().unwrap();
    write(file.path(), &first);
    let app = OpenBao::new(bao.settings(Credential::TokenFile(file.path().to_owned()))).unwrap();
    app.tend().await.unwrap();
    write(file.path(), &format!("\u{feff}{second}\r\n"));
    app.tend().await.unwrap();
    assert_eq!(app.identity().generation(), 2);
    bao.admin(Method::POST, "auth/token/revoke", json!({"token": first})).await;
    assert_eq!(app.find_role(&name("none")).await.unwrap(), None);
    // Also by a call, before the job sees it.
    write(file.path(), &bao.server_token().await);
    bao.admin(Method::POST, "auth/token/revoke", json!({"token": second})).await;
    assert_eq!(app.find_role(&name("none")).await.unwrap(), None);
    assert_eq!(app.identity().generation(), 3);
    fs::remove_file(file.path()).unwrap();
    app.tend().await.unwrap();
    let never = OpenBao::new(bao.settings(Credential::TokenFile("/nowhere/token".into()))).unwrap();
    assert_eq!(never.tend().await.unwrap_err().cause, Cause::TokenFile);
}

/// A login that may have taken effect is not repeated: it could use up a secret id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_is_repeated_only_if_it_had_no_effect() {
    let fake = Fake::start("").await;
    let file = tempfile::NamedTempFile::new().unwrap();
    write(file.path(), SECRET_ID);
    let secret_id = || SecretId::File(file.path().to_owned());
    let app = || {
        let credential = Credential::AppRole { role_id: secret(ROLE_ID), secret_id: secret_id() };
        OpenBao::new(settings(&fake.address(), credential)).unwrap()
    };
    for (fault, calls, is_ok) in [
        (Fault::Refuse(503, "Vault is sealed"), 2, true),
        (Fault::Refuse(429, "rate limit quota exceeded"), 2, true),
        (Fault::Refuse(500, "internal error"), 1, false),
        (Fault::Cut, 1, false),
    ] {
        let before = fake.calls("auth/approle/login");
        fake.fault("auth/approle/login", fault);
        let tended = app().tend().await;
        assert_eq!((fake.calls("auth/approle/login") - before, tended.is_ok()), (calls, is_ok), "{tended:?}");
    }
}
