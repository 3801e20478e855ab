//! Failures of the server and of the network, each with its own error.

use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use reqwest::Method;
use serde_json::{Value, json};
use tenantry::{
    base::{Error, Kind, pem},
    openbao::{Cause, Credential, Health, OpenBao, OpenBaoSettings},
};

use super::{
    client,
    fake::{Fake, Fault, TOKEN},
    hurried, name, secret, server_client, text,
};
use crate::harness::{openbao::OpenBaoServer, postgres::free_port};

const SHORT: Duration = Duration::from_millis(1500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_down_sealed_or_frozen_is_a_different_error() {
    let mut bao = OpenBaoServer::start().await;
    let token = bao.server_token().await;
    let app = hurried(bao.address(), &token, SHORT);
    app.tend().await.unwrap();
    assert_eq!((app.health(), app.is_due()), (Health::Ok, false));

    bao.seal().await;
    let sealed = app.find_role(&name("none")).await.unwrap_err();
    assert_eq!(sealed.to_string(), "cannot find the database role: OpenBAO is sealed");
    assert!(app.is_due(), "the failure makes a check due");
    assert_eq!(text(app.tend().await), "cannot check the health of OpenBAO: OpenBAO is sealed");
    assert_eq!(app.health().word(), "sealed");
    bao.unseal().await;
    assert_eq!(app.find_role(&name("none")).await.unwrap(), None);
    app.tend().await.unwrap();
    assert_eq!(app.health().word(), "ok");

    bao.signal("STOP").await;
    let begun = Instant::now();
    let frozen = app.find_role(&name("none")).await.unwrap_err();
    assert!((SHORT / 2..4 * SHORT).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    assert_eq!(frozen.to_string(), "cannot find the database role: OpenBAO does not respond");
    assert_eq!(Error::from(frozen).kind, Kind::DeadlineExceeded);
    assert_eq!(app.tend().await.unwrap_err().cause.word(), "frozen");
    bao.signal("CONT").await;
    assert_eq!(app.find_role(&name("none")).await.unwrap(), None);

    bao.kill().await;
    let down = app.find_role(&name("none")).await.unwrap_err();
    assert_eq!(down.to_string(), "cannot find the database role: OpenBAO cannot be reached");
    let error = Error::from(down);
    assert_eq!((error.kind, error.reason_name()), (Kind::Unavailable, "EGRESS_FAILED"));
    assert_eq!(app.tend().await.unwrap_err().cause.word(), "down");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_waits_for_a_server_that_is_unsealed_meanwhile() {
    let bao = OpenBaoServer::start().await;
    let app = server_client(&bao).await;
    app.tend().await.unwrap();
    bao.seal().await;
    let none = name("none");
    let (found, ()) = tokio::join!(app.find_role(&none), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        bao.unseal().await;
    });
    assert_eq!(found.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_beyond_the_rate_limit_are_repeated_with_pauses() {
    let bao = OpenBaoServer::start().await;
    let app = server_client(&bao).await;
    app.tend().await.unwrap();
    bao.admin(Method::POST, "sys/quotas/rate-limit/global", json!({"rate": 2, "interval": "1s"})).await;
    for _ in 0..6 {
        assert_eq!(app.find_role(&name("none")).await.unwrap(), None);
    }
    let fake = Fake::start("").await;
    let limited = hurried(&fake.address(), TOKEN, SHORT);
    limited.tend().await.unwrap();
    (0..50).for_each(|_| fake.fault("database/roles", Fault::Refuse(429, "rate limit quota exceeded")));
    assert_eq!(limited.find_role(&name("none")).await.unwrap_err().cause, Cause::RateLimited);
    assert!((3..=6).contains(&fake.calls("database/roles")), "{} attempts", fake.calls("database/roles"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_call_is_not_a_frozen_server() {
    let fake = Fake::start("").await;
    let app = hurried(&fake.address(), TOKEN, Duration::from_millis(600));
    app.tend().await.unwrap();
    fake.fault("database/roles", Fault::Silence);
    let slow = app.find_role(&name("none")).await.unwrap_err();
    assert_eq!(slow.to_string(), "cannot find the database role: OpenBAO did not complete the call in time");
    assert_eq!(fake.calls("database/roles"), 1);
    fake.fault("database/roles", Fault::Silence);
    fake.fault("sys/health", Fault::Silence);
    assert_eq!(app.find_role(&name("none")).await.unwrap_err().cause, Cause::Frozen);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repetition_that_is_too_slow_does_not_hide_the_first_failure() {
    let fake = Fake::start("").await;
    let app = hurried(&fake.address(), TOKEN, SHORT);
    app.tend().await.unwrap();
    fake.fault("database/roles", Fault::Refuse(503, "Vault is sealed"));
    fake.fault("database/roles", Fault::Silence);
    let sealed = app.find_role(&name("none")).await.unwrap_err();
    assert_eq!(sealed.to_string(), "cannot find the database role: OpenBAO is sealed");
    assert_eq!(fake.calls("database/roles"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_that_can_pass_are_repeated_and_others_are_not() {
    let fake = Fake::start("").await;
    let app = client(&fake.address(), TOKEN);
    app.tend().await.unwrap();
    let down = "failed to renew entry: dial tcp 127.0.0.1:5432: connect: connection refused";
    let cases = [
        (Fault::Refuse(503, "Vault is sealed"), None),
        (Fault::Refuse(500, "local node not active but active cluster node not found"), None),
        (Fault::Refuse(500, "internal error"), None),
        (Fault::Refuse(429, "rate limit quota exceeded"), None),
        (Fault::Raw(502, "<html>bad gateway</html>"), None),
        (Fault::Raw(307, ""), None),
        (Fault::Cut, None),
        (Fault::Refuse(400, down), None),
        (Fault::Refuse(400, "lease not found"), Some(Cause::NoLease)),
        (Fault::Refuse(400, "lease is not renewable"), Some(Cause::NotRenewable)),
        (Fault::Refuse(403, "1 error occurred:\n\t* permission denied\n\n"), Some(Cause::Denied)),
        (Fault::Raw(400, "Client sent an HTTP request to an HTTPS server."), Some(Cause::HttpsRequired)),
        (Fault::Raw(418, "teapot"), Some(Cause::Refused(418))),
        (Fault::Raw(200, "<html>login</html>"), Some(Cause::Response)),
    ];
    for (fault, cause) in cases {
        let before = fake.calls("sys/leases/renew");
        fake.fault("sys/leases/renew", fault);
        // After a repetition the fake says that there is no such lease.
        let found = app.renew_lease("database/creds/x/y", Duration::from_secs(60)).await.unwrap_err().cause;
        let calls = fake.calls("sys/leases/renew") - before;
        assert_eq!((found, calls), (cause.unwrap_or(Cause::NoLease), 1 + usize::from(cause.is_none())), "{cause:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_of_the_server_are_only_in_the_cause() {
    let fake = Fake::start("").await;
    let app = client(&fake.address(), TOKEN);
    app.tend().await.unwrap();
    fake.fault("database/roles", Fault::Refuse(400, "no s.fake-server here, said bao-17"));
    let error = app.find_role(&name("none")).await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(error.to_string(), "cannot find the database role: OpenBAO refused the call with status 400");
    assert_eq!(cause, "status 400: no *** here, said bao-17");
    let error = Error::from(error);
    assert!(!error.message.contains("bao-17") && error.kind == Kind::FailedPrecondition);
    let printed = format!("{app:?} {error:?}");
    assert!(!printed.contains(TOKEN), "{printed}");
}

/// A revoked token and a policy that allows less have different texts on the server, and different errors here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_ended_is_not_a_policy_that_refuses() {
    let bao = OpenBaoServer::start().await;
    let token = bao.server_token().await;
    let app = client(bao.address(), &token);
    app.tend().await.unwrap();
    let nothing = json!({"policy": "path \"auth/token/*\" { capabilities = [\"read\", \"update\"] }"});
    bao.admin(Method::PUT, "sys/policies/acl/tenantry", nothing).await;
    let denied = "cannot find the database role: the policy of the server's token does not allow it";
    assert_eq!(text(app.find_role(&name("none")).await), denied);
    assert_eq!(app.tend().await.unwrap_err().cause, Cause::Denied);
    assert_eq!(app.health().word(), "denied");
    bao.admin(Method::POST, "auth/token/revoke", json!({"token": token})).await;
    let ended = "cannot look up the token: the server's token is missing, was revoked or has expired";
    assert_eq!(text(app.find_role(&name("none")).await), ended);
    assert_eq!(app.tend().await.unwrap_err().cause, Cause::TokenInvalid);
    assert_eq!(app.health().word(), "token_invalid");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_configured_authority_is_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let (authority, key) = (authority(), KeyPair::generate().unwrap());
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = certificate.signed_by(&key, &authority.1).unwrap();
    let file = |name: &str, content: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let (certificate, key) = (file("cert.pem", &certificate.pem()), file("key.pem", &key.serialize_pem()));
    let bao = OpenBaoServer::start_tls(&certificate, &key, authority.0.as_bytes()).await;
    let with = |authorities: Option<&str>| {
        let settings = bao.settings(Credential::Token(secret(bao.root())));
        let authorities = authorities.map(|text| pem::certificates(text.as_bytes()).unwrap());
        OpenBao::new(OpenBaoSettings { authorities, ..settings }).unwrap()
    };
    bao.admin(Method::POST, "sys/mounts/database", json!({"type": "database"})).await;
    with(Some(&authority.0)).tend().await.unwrap();
    for untrusting in [with(None), with(Some(&self::authority().0))] {
        let begun = Instant::now();
        let refused = untrusting.find_role(&name("none")).await.unwrap_err();
        assert_eq!((refused.cause, refused.can_pass()), (Cause::Tls, false));
        assert!(begun.elapsed() < Duration::from_secs(5), "it was repeated");
    }
    let plain = client(&bao.address().replace("https", "http"), bao.root());
    assert_eq!(plain.find_role(&name("none")).await.unwrap_err().cause, Cause::HttpsRequired);
}

/// An authority: its certificate in PEM, and its key.
fn authority() -> (String, Issuer<'static, KeyPair>) {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    (certificate.pem(), Issuer::new(parameters, key))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_the_database_engine_is_reported() {
    let bao = OpenBaoServer::start().await;
    let app = client(bao.address(), bao.root());
    let missing = app.tend().await.unwrap_err();
    assert_eq!((missing.cause, app.health().word()), (Cause::NoEngine, "no_database_engine"));
    assert_eq!(app.find_role(&name("none")).await.unwrap_err().cause, Cause::NoEngine);
    let nowhere = client(&format!("http://127.0.0.1:{}", free_port()), "s.x");
    assert_eq!(nowhere.health().word(), "unknown");
    assert_eq!(nowhere.tend().await.unwrap_err().cause, Cause::Down);
    assert_eq!(bao.api(Method::GET, "sys/health", "", Value::Null).await.0, 200);
}
