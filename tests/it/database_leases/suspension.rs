//! A suspended tenant: its programs get no logins, and lose those that they have.

use std::time::{Duration, Instant};

use tenantry::{
    base::{CallerKind, Kind, TenantRef, error::Reason},
    openbao::Cause,
    operations,
    tenants::database::{DatabaseSettings, PROVISIONING, leases},
    zerotrust::tenants::{self as subscribers, Deletion, SubscriberRef},
};
use tokio_postgres::Client;

use super::{
    Stack, audited, failed, forgotten, hurry, id_of, name, of_tenant, recorded, resume, settled, strings, suspend,
};
use crate::{
    db::{TestDb, platform_cx},
    harness::{PATIENCE, eventually},
    provisioner::{connect, rows, starting},
};

const DISCONNECTS: DatabaseSettings = DatabaseSettings { most_leases: 10, suspend_disconnects: true };

impl Stack {
    /// A session with a login that a program leased from OpenBAO directly, and the password of the login.
    async fn log_in_directly(&self) -> (Client, String) {
        let leased = self.app.lease_credentials(&name("acme-role")).await.unwrap();
        let url = self.place.postgres.url_of(&leased.username, leased.password.expose(), "tenant_acme");
        (connect(&url).await.unwrap(), url)
    }
}

async fn steps(db: &TestDb) -> Vec<String> {
    strings(db, "SELECT state FROM operations WHERE kind = 'tenant.database_access' ORDER BY id").await
}

both_databases! {
    async fn the_programs_of_a_suspended_tenant_lose_their_logins_until_it_is_resumed(db: TestDb) {
        let stack = Stack::start(&db).await;
        let jobs = stack.serve();
        let (acme, beta) = (stack.provision(&db, "acme").await, stack.provision(&db, "beta").await);
        let (leased, others) = (stack.lease(&acme).await.unwrap(), stack.lease(&beta).await.unwrap());
        let session = stack.log_in(&leased).await.unwrap();
        let (direct, url) = stack.log_in_directly().await;
        assert_eq!(stack.logins().await.len(), 3);
        suspend(&db, &acme).await;
        let error = stack.lease(&acme).await.unwrap_err();
        assert_eq!((error.kind, error.reason), (Kind::FailedPrecondition, Reason::TenantNotActive));
        settled(&db).await;
        assert_eq!(stack.allowed().await.unwrap(), [""; 0]);
        assert_eq!(recorded(&db).await, 1, "that of the other tenant");
        eventually("the session to end", async || session.is_closed().then_some(())).await;
        assert!(stack.log_in(&leased).await.is_err());
        let refused = stack.app.lease_credentials(&name("acme-role")).await.unwrap_err();
        assert_eq!(refused.cause, Cause::RoleNotAllowed);
        // Without the setting, what a program leased itself stays valid until it ends.
        assert_eq!(rows(&direct, "SELECT 1").await.unwrap(), ["1"]);
        connect(&url).await.unwrap();
        stack.log_in(&others).await.unwrap();
        resume(&db, &acme).await;
        settled(&db).await;
        assert_eq!(stack.allowed().await.unwrap(), ["acme-role"]);
        stack.log_in(&stack.lease(&acme).await.unwrap()).await.unwrap();
        assert_eq!(steps(&db).await, ["succeeded", "succeeded"]);
        jobs.end(PATIENCE).await;
    }

    async fn with_the_setting_all_sessions_end_within_a_second(db: TestDb) {
        let stack = Stack::start_with(&db, DISCONNECTS).await;
        let jobs = stack.serve();
        let (acme, beta) = (stack.provision(&db, "acme").await, stack.provision(&db, "beta").await);
        let others = stack.log_in(&stack.lease(&beta).await.unwrap()).await.unwrap();
        let mut fastest = Duration::MAX;
        for _ in 0..3 {
            let leased = stack.lease(&acme).await.unwrap();
            let session = stack.log_in(&leased).await.unwrap();
            rows(&session, "CREATE TABLE IF NOT EXISTS notes (text text)").await.unwrap();
            let (direct, url) = stack.log_in_directly().await;
            let begun = Instant::now();
            suspend(&db, &acme).await;
            eventually("the sessions to end", async || (session.is_closed() && direct.is_closed()).then_some(())).await;
            fastest = fastest.min(begun.elapsed());
            assert!(connect(&url).await.is_err());
            settled(&db).await;
            let acme_logins = "SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid \
                               JOIN pg_roles l ON l.oid = m.member WHERE r.rolname = 'acme_owner' AND l.rolname LIKE 'v-%'";
            assert_eq!(stack.place.sql(acme_logins).await, ["0"]);
            resume(&db, &acme).await;
            settled(&db).await;
            assert_eq!(rows(&others, "SELECT 1").await.unwrap(), ["1"]);
        }
        assert!(fastest < Duration::from_secs(1), "{fastest:?}");
        stack.log_in(&stack.lease(&acme).await.unwrap()).await.unwrap();
        jobs.end(PATIENCE).await;
    }

    async fn sessions_end_although_openbao_is_down_and_leases_when_it_is_back(db: TestDb) {
        let stack = Stack::start_with(&db, DISCONNECTS).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        let leased = stack.lease(&acme).await.unwrap();
        let session = stack.log_in(&leased).await.unwrap();
        let (direct, url) = stack.log_in_directly().await;
        stack.bao.seal().await;
        suspend(&db, &acme).await;
        eventually("the sessions to end", async || (session.is_closed() && direct.is_closed()).then_some(())).await;
        // The logins exist and cannot connect.
        assert_eq!(stack.logins().await.len(), 2);
        assert!(connect(&url).await.is_err() && stack.log_in(&leased).await.is_err());
        let cause = failed(&db, "tenant.database_access").await;
        assert_eq!(cause, "cannot change the roles that the database connection allows: OpenBAO is sealed");
        stack.bao.unseal().await;
        settled(&db).await;
        assert_eq!((stack.logins().await.len(), recorded(&db).await), (0, 0));
        assert_eq!(stack.allowed().await.unwrap(), [""; 0]);
        jobs.end(PATIENCE).await;
    }

    async fn a_database_server_that_is_down_does_not_keep_leases_alive(db: TestDb) {
        let mut stack = Stack::start_with(&db, DISCONNECTS).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        stack.lease(&acme).await.unwrap();
        stack.place.postgres.stop();
        suspend(&db, &acme).await;
        let cause = failed(&db, "tenant.database_access").await;
        assert_eq!(cause, "the database server cannot be reached");
        assert_eq!(stack.allowed().await.unwrap(), [""; 0], "OpenBAO does not wait for the database server");
        stack.place.postgres.resume();
        stack.place.reconnect().await;
        settled(&db).await;
        assert_eq!((stack.logins().await.len(), recorded(&db).await), (0, 0));
        resume(&db, &acme).await;
        settled(&db).await;
        stack.log_in(&stack.lease(&acme).await.unwrap()).await.unwrap();
        jobs.end(PATIENCE).await;
    }

    async fn a_right_that_is_missing_is_named_and_the_suspension_completed_with_it(db: TestDb) {
        let stack = Stack::start(&db).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        stack.set_policy(&super::faults::policy_without("database/config/*")).await;
        suspend(&db, &acme).await;
        let cause = failed(&db, "tenant.database_access").await;
        assert!(cause.contains("the policy of the server's token does not allow it"), "{cause}");
        stack.set_policy(&super::faults::policy()).await;
        settled(&db).await;
        assert_eq!(stack.allowed().await.unwrap(), [""; 0]);
        jobs.end(PATIENCE).await;
    }

    async fn the_last_status_counts_whenever_its_changes_are_applied(db: TestDb) {
        let stack = Stack::start(&db).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        stack.bao.signal("STOP").await;
        for _ in 0..2 {
            suspend(&db, &acme).await;
            resume(&db, &acme).await;
        }
        stack.bao.signal("CONT").await;
        settled(&db).await;
        assert_eq!(stack.allowed().await.unwrap(), ["acme-role"]);
        resume(&db, &acme).await;
        suspend(&db, &acme).await;
        settled(&db).await;
        assert_eq!(stack.allowed().await.unwrap(), [""; 0]);
        assert_eq!(steps(&db).await, ["succeeded"; 5]);
        jobs.end(PATIENCE).await;
    }

    async fn a_tenant_in_its_grace_period_is_closed_and_a_restored_one_is_not(db: TestDb) {
        let stack = Stack::start(&db).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        stack.lease(&acme).await.unwrap();
        let of = SubscriberRef { tenant: acme.clone(), version: None };
        let deletion = Deletion { confirm: "acme".to_owned(), purge: false };
        subscribers::delete(&platform_cx("tenant.delete"), &db, &of, deletion, None).await.unwrap();
        assert_eq!(stack.lease(&acme).await.unwrap_err().reason, Reason::TenantNotFound);
        settled(&db).await;
        assert_eq!((stack.allowed().await.unwrap(), stack.logins().await.len()), (Vec::<String>::new(), 0));
        resume(&db, &acme).await;
        settled(&db).await;
        stack.log_in(&stack.lease(&acme).await.unwrap()).await.unwrap();
        jobs.end(PATIENCE).await;
    }

    async fn a_suspension_during_provisioning_leaves_nothing_open(db: TestDb) {
        let stack = Stack::start(&db).await;
        let acme = starting::create(&db, "acme").await;
        stack.bao.signal("STOP").await;
        let jobs = stack.serve();
        let begun = stack.begin(&db, &acme).await;
        // It waits for OpenBAO, and opens the connection as soon as that continues.
        eventually("the step", async || {
            let operation = operations::get(&platform_cx("x"), &db, begun.operation).await.unwrap();
            let next = operation.next_step().map(|step| operation.steps[step].name.clone());
            (next.as_deref() == Some("set up OpenBAO")).then_some(())
        })
        .await;
        suspend(&db, &acme).await;
        stack.bao.signal("CONT").await;
        settled(&db).await;
        assert!(stack.allowed().await.is_none_or(|allowed| allowed.is_empty()));
        let error = stack.lease(&acme).await.unwrap_err();
        assert_eq!(error.reason, Reason::TenantNotActive);
        resume(&db, &acme).await;
        stack.provision_again(&db, &acme).await;
        settled(&db).await;
        stack.log_in(&stack.lease(&acme).await.unwrap()).await.unwrap();
        jobs.end(PATIENCE).await;
    }

    async fn a_tenant_suspends_itself(db: TestDb) {
        let stack = Stack::start(&db).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        stack.lease(&acme).await.unwrap();
        let id = id_of(&db, &acme).await;
        let of = SubscriberRef { tenant: TenantRef::Id(id), version: None };
        subscribers::suspend(&of_tenant(CallerKind::Service, id), &db, &of, None).await.unwrap();
        settled(&db).await;
        forgotten(&db).await;
        assert!(stack.logins().await.is_empty());
        let error = leases::lease(&platform_cx("database.lease"), &stack.databases, &acme, None).await.unwrap_err();
        assert_eq!(error.reason, Reason::TenantNotActive);
        hurry(&db).await;
        assert!(audited(&db, "database.lease_lost").await.is_empty());
        jobs.end(PATIENCE).await;
    }
}

#[test]
fn provisioning_has_the_name_that_others_wait_for() {
    use tenantry::{controlplane::provisioning::ProvisionTenant, operations::OperationKind};
    assert_eq!(ProvisionTenant::NAME, PROVISIONING);
}
