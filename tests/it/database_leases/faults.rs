//! An OpenBAO, a database server, or a right that is missing while programs lease and release.

use reqwest::Method;
use serde_json::json;
use tenantry::base::{Error, Kind, TenantRef, error::Reason};

use super::{Stack, audited, forgotten, hurry, recorded, resume, strings, suspend};
use crate::{
    db::TestDb,
    harness::{PATIENCE, eventually},
};

/// The policy of the server without the rule for this path.
pub fn policy_without(path: &str) -> String {
    let whole = policy();
    let start = whole.find(&format!("path \"{path}")).unwrap_or_else(|| panic!("no rule for {path}"));
    let end = start + whole[start..].find('}').unwrap() + 1;
    format!("{}{}", &whole[..start], &whole[end..])
}

pub fn policy() -> String {
    std::fs::read_to_string(crate::harness::root().join("deploy/openbao/policy.hcl")).unwrap()
}

fn is(error: &Error, kind: Kind, reason: Reason, text: &str) {
    assert_eq!((error.kind, error.reason, error.to_string().as_str()), (kind, reason, text));
}

both_databases! {
    async fn each_failure_of_openbao_is_a_different_error(db: TestDb) {
        let mut stack = Stack::start(&db).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        jobs.end(PATIENCE).await;
        let unavailable = async |stack: &Stack, text: &str| {
            let error = stack.lease(&acme).await.unwrap_err();
            is(&error, Kind::Unavailable, Reason::OpenbaoUnavailable, &format!("cannot lease database credentials: {text}"));
        };
        let refused = async |stack: &Stack, text: &str| {
            let error = stack.lease(&acme).await.unwrap_err();
            is(&error, Kind::FailedPrecondition, Reason::OpenbaoRefused, text);
        };
        stack.bao.seal().await;
        unavailable(&stack, "OpenBAO is sealed").await;
        stack.bao.unseal().await;
        stack.bao.signal("STOP").await;
        unavailable(&stack, "OpenBAO does not respond").await;
        stack.bao.signal("CONT").await;
        // What it did for the call whose client had gone.
        stack.bao.admin(Method::PUT, "sys/leases/revoke-prefix/database/creds/acme-role", json!({"sync": true})).await;
        stack.set_policy(&policy_without("database/creds/*")).await;
        let denied = "cannot lease database credentials: the policy of the server's token does not allow it";
        refused(&stack, denied).await;
        stack.set_policy(&policy()).await;
        stack.place.postgres.stop();
        unavailable(&stack, "OpenBAO cannot reach the database server").await;
        stack.place.postgres.resume();
        stack.place.reconnect().await;
        stack.place.sql("ALTER ROLE provisioner NOCREATEROLE").await;
        refused(&stack, "cannot lease database credentials: the database server refused a statement (SQLSTATE 42501)").await;
        stack.place.sql("ALTER ROLE provisioner CREATEROLE").await;
        stack.bao.admin(Method::DELETE, "database/roles/acme-role", serde_json::Value::Null).await;
        let error = stack.lease(&acme).await.unwrap_err();
        assert_eq!((error.kind, error.reason), (Kind::FailedPrecondition, Reason::DatabaseNotProvisioned));
        stack.bao.admin(Method::POST, "auth/token/revoke", json!({"token": stack.token})).await;
        refused(&stack, "cannot look up the token: the server's token is missing, was revoked or has expired").await;
        stack.bao.kill().await;
        let error = stack.lease(&acme).await.unwrap_err();
        assert_eq!((error.kind, error.reason), (Kind::Unavailable, Reason::OpenbaoUnavailable));
        assert!(error.to_string().ends_with("OpenBAO cannot be reached"), "{error}");
        assert_eq!((stack.logins().await.len(), recorded(&db).await), (0, 0));
        assert!(audited(&db, "database.lease").await.is_empty());
    }

    async fn a_release_during_an_outage_is_completed_later(db: TestDb) {
        let stack = Stack::start(&db).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        let leased = stack.lease(&acme).await.unwrap();
        stack.bao.seal().await;
        let error = stack.release(&acme, &leased).await.unwrap_err();
        let text = "cannot revoke the lease: OpenBAO is sealed; the server repeats it until the login has ended";
        is(&error, Kind::Unavailable, Reason::OpenbaoUnavailable, text);
        assert_eq!(strings(&db, "SELECT 'x' FROM database_leases WHERE ended").await.len(), 1);
        // It does not count any longer.
        stack.bao.unseal().await;
        hurry(&db).await;
        forgotten(&db).await;
        assert!(stack.logins().await.is_empty());
        stack.release(&acme, &leased).await.unwrap();
        jobs.end(PATIENCE).await;
    }

    async fn a_login_that_cannot_be_dropped_now_is_dropped_later(db: TestDb) {
        let mut stack = Stack::start(&db).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        let leased = stack.lease(&acme).await.unwrap();
        stack.place.postgres.stop();
        let error = stack.release(&acme, &leased).await.unwrap_err();
        assert!(error.to_string().contains("OpenBAO cannot reach the database server"), "{error}");
        stack.place.postgres.resume();
        stack.place.reconnect().await;
        hurry(&db).await;
        stack.logins_become(0).await;
        jobs.end(PATIENCE).await;
    }

    async fn the_token_of_the_server_is_revoked(db: TestDb) {
        let stack = Stack::start(&db).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        stack.lease(&acme).await.unwrap();
        stack.bao.admin(Method::POST, "auth/token/revoke", json!({"token": stack.token})).await;
        // Leases end with the token that made them.
        stack.logins_become(0).await;
        hurry(&db).await;
        eventually("a failure", async || strings(&db, "SELECT 'x' FROM database_leases WHERE failures > 0").await.pop()).await;
        jobs.end(PATIENCE).await;
        // A server with a new token notices.
        let mut databases = stack.databases.clone();
        databases.openbao = Some(super::client(stack.bao.address(), &stack.bao.server_token().await));
        databases.keeper = None;
        let other = super::serve(&databases);
        hurry(&db).await;
        forgotten(&db).await;
        eventually("the audit event", async || (audited(&db, "database.lease_lost").await.len() == 1).then_some(())).await;
        other.end(PATIENCE).await;
    }

    async fn a_lease_during_a_suspension_leaves_no_login(db: TestDb) {
        let mut stack = Stack::start(&db).await;
        stack.be_patient();
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        for _ in 0..3 {
            let leasing = async {
                let leased = futures::future::join_all((0..4).map(|_| stack.lease(&acme))).await;
                leased.into_iter().filter_map(Result::err).collect::<Vec<_>>()
            };
            let (errors, ()) = tokio::join!(leasing, suspend(&db, &acme));
            for error in errors {
                let expected = [Reason::TenantNotActive, Reason::OpenbaoUnavailable];
                assert!(expected.contains(&error.reason), "{error:?}");
            }
            let late = stack.lease(&acme).await.unwrap_err();
            is(&late, Kind::FailedPrecondition, Reason::TenantNotActive, SUSPENDED);
            super::settled(&db).await;
            forgotten(&db).await;
            stack.logins_become(0).await;
            resume(&db, &acme).await;
            super::settled(&db).await;
        }
        stack.lease(&acme).await.unwrap();
        jobs.end(PATIENCE).await;
    }

    async fn a_lease_that_is_granted_after_the_suspension_is_revoked(db: TestDb) {
        let mut stack = Stack::start(&db).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        jobs.end(PATIENCE).await;
        stack.be_patient();
        let error = lease_and_suspend(&db, &stack, &acme).await;
        is(&error, Kind::FailedPrecondition, Reason::TenantNotActive, SUSPENDED);
        assert_eq!((stack.logins().await.len(), recorded(&db).await), (0, 0));
    }

    async fn a_lease_that_can_be_neither_recorded_nor_revoked_is_revoked_later(db: TestDb) {
        let mut stack = Stack::start(&db).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        jobs.end(PATIENCE).await;
        stack.be_patient();
        stack.set_policy(&policy_without("sys/leases/revoke")).await;
        let error = lease_and_suspend(&db, &stack, &acme).await;
        is(&error, Kind::FailedPrecondition, Reason::TenantNotActive, SUSPENDED);
        let ended = strings(&db, "SELECT 'x' FROM database_leases WHERE ended").await;
        assert_eq!((stack.logins().await.len(), recorded(&db).await, ended.len()), (1, 1, 1));
        stack.set_policy(&policy()).await;
        let jobs = stack.serve();
        hurry(&db).await;
        forgotten(&db).await;
        stack.logins_become(0).await;
        jobs.end(PATIENCE).await;
    }
}

const SUSPENDED: &str = "the tenant is suspended; no credentials of its database are leased";

/// A lease that OpenBAO grants when the tenant is suspended and no operation has run yet.
async fn lease_and_suspend(db: &TestDb, stack: &Stack, tenant: &TenantRef) -> Error {
    stack.bao.signal("STOP").await;
    let before = stack.bao.connections();
    let (leased, ()) = tokio::join!(stack.lease(tenant), async {
        eventually("the call of OpenBAO", async || (stack.bao.connections() > before).then_some(())).await;
        suspend(db, tenant).await;
        stack.bao.signal("CONT").await;
    });
    leased.unwrap_err()
}
