//! Leases that are renewed, by one server, until their time is over.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tenantry::{
    openbao::{Credential, OpenBao, SecretId},
    store::{Keyring, Sealer, sealing},
    tenants::database::{Databases, leases},
};

use super::{Stack, audited, forgotten, hurry, recorded, serve, strings};
use crate::{
    db::TestDb,
    harness::{PATIENCE, eventually, openbao::settings, within},
    openbao::fake::{self, Fake, Fault},
    provisioner::rows,
    rows::sql,
};

/// How long logins of the tests are valid.
const SHORT: u64 = 6;

/// When the lease lapses in OpenBAO.
async fn lapses(db: &TestDb) -> i64 {
    strings(db, "SELECT CAST(lapses_at AS text) FROM database_leases").await[0].parse().unwrap()
}

/// Waits until the lease was renewed this many times.
async fn renewed(db: &TestDb, times: usize) {
    let mut last = lapses(db).await;
    for _ in 0..times {
        last = within(2 * PATIENCE, "a renewal", async || Some(lapses(db).await).filter(|now| *now > last)).await;
    }
}

both_databases! {
    async fn a_lease_outlives_the_server_that_handed_it_out(db: TestDb) {
        let stack = Stack::start(&db).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        stack.shorten(SHORT).await;
        let leased = stack.lease(&acme).await.unwrap();
        let session = stack.log_in(&leased).await.unwrap();
        renewed(&db, 1).await;
        jobs.end(PATIENCE).await;
        // A server that ends revokes only what it holds for its own work.
        assert_eq!(stack.databases.keeper.as_ref().unwrap().end().await, 0);
        assert_eq!(stack.logins().await, std::slice::from_ref(&leased.username));
        // Another process, with the same token.
        let replica = db.replica().await;
        let mut databases = stack.databases.clone();
        databases.store = replica.clone();
        databases.openbao = Some(super::client(stack.bao.address(), &stack.token));
        let other = serve(&databases);
        renewed(&db, 2).await;
        assert_eq!(rows(&session, "SELECT 1").await.unwrap(), ["1"]);
        stack.log_in(&leased).await.unwrap();
        leases::release(&crate::db::platform_cx("database.release"), &databases, &acme, &leased.id.to_string()).await.unwrap();
        assert!(stack.logins().await.is_empty());
        other.end(PATIENCE).await;
    }

    async fn a_lease_outlives_the_login_of_the_server_that_handed_it_out(db: TestDb) {
        let stack = Stack::start(&db).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        jobs.end(PATIENCE).await;
        stack.shorten(SHORT).await;
        let role_id = stack.bao.bootstrap(&["approle"], "").await.remove(0);
        let made = stack.bao.admin(Method::POST, "auth/approle/role/tenantry/secret-id", json!({})).await;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), made["data"]["secret_id"].as_str().unwrap()).unwrap();
        // Each start of a server logs in.
        let start = || {
            let (role_id, secret_id) = (tenantry::base::Secret::new(role_id.clone()), SecretId::File(file.path().to_owned()));
            let bao = OpenBao::new(settings(stack.bao.address(), Credential::AppRole { role_id, secret_id })).unwrap();
            Databases { openbao: Some(bao), keeper: None, ..stack.databases.clone() }
        };
        let leased = leases::lease(&crate::db::platform_cx("database.lease"), &start(), &acme, None).await.unwrap();
        let later = start();
        let other = serve(&later);
        renewed(&db, 2).await;
        stack.log_in(&leased).await.unwrap();
        leases::release(&crate::db::platform_cx("database.release"), &later, &acme, &leased.id.to_string()).await.unwrap();
        assert!(stack.logins().await.is_empty());
        other.end(PATIENCE).await;
        // A token that is not renewed any longer is valid for at least a third of its period: longer than any lease that it made.
        let accessors = stack.bao.admin(Method::GET, "auth/token/accessors?list=true", json!(null)).await;
        let mut logins = 0;
        for accessor in accessors["data"]["keys"].as_array().unwrap() {
            let found = stack.bao.admin(Method::POST, "auth/token/lookup-accessor", json!({"accessor": accessor})).await;
            if found["data"]["path"] == "auth/approle/login" {
                logins += 1;
                let period = found["data"]["period"].as_i64().unwrap_or_default();
                assert!(found["data"]["orphan"] == true && period / 3 > leases::LONGEST_TTL.whole_seconds(), "{found}");
            }
        }
        assert_eq!(logins, 2);
    }

    async fn one_of_several_servers_renews(db: TestDb) {
        let fake = Fake::start("").await;
        let ring: Keyring = crate::keys::kek().into();
        let bao = OpenBao::new(settings(&fake.address(), Credential::Token(tenantry::base::Secret::new(fake::TOKEN.to_owned())))).unwrap();
        let server = |store: &tenantry::store::Store| {
            let mut databases = Databases::new(store, Sealer::new(store.clone(), Some(ring.clone())));
            databases.openbao = Some(bao.clone());
            databases
        };
        let (one, two) = (server(&db), server(&db.replica().await));
        let acme = provisioned_at(&db, &fake, SHORT).await;
        for _ in 0..3 {
            leases::lease(&crate::db::platform_cx("database.lease"), &one, &acme, None).await.unwrap();
        }
        let before = fake.calls("sys/leases/renew");
        let keep = |databases: &Databases| {
            let mut jobs = tenantry::jobs::Jobs::new(&databases.store, tenantry::jobs::StatusBoard::default());
            jobs.start(leases::KeepDatabaseLeases::new(databases));
            jobs
        };
        let begun = tokio::time::Instant::now();
        let jobs = [keep(&one), keep(&two)];
        eventually("renewals", async || (fake.calls("sys/leases/renew") - before >= 9).then_some(())).await;
        // Each of three leases is due every four seconds: nine renewals take at least eight seconds after the first four.
        assert!(begun.elapsed() >= Duration::from_secs(11), "{:?}", begun.elapsed());
        for jobs in jobs {
            jobs.end(PATIENCE).await;
        }
    }

    async fn a_lease_ends_when_its_time_is_over(db: TestDb) {
        let stack = Stack::start(&db).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        let (over, kept) = (stack.lease(&acme).await.unwrap(), stack.lease(&acme).await.unwrap());
        let session = stack.log_in(&over).await.unwrap();
        let id = match db.is_sqlite() {
            true => format!("x'{}'", over.id.as_simple()),
            false => format!("'{}'::uuid", over.id),
        };
        sql(&db, format!("UPDATE database_leases SET ends_at = 1, due_at = 1 WHERE id = {id}")).await.unwrap();
        eventually("the end of the lease", async || (recorded(&db).await == 1).then_some(())).await;
        assert_eq!(stack.logins().await, std::slice::from_ref(&kept.username));
        eventually("the session to end", async || session.is_closed().then_some(())).await;
        // It was announced, so it is not in the audit log.
        assert!(audited(&db, "database.lease_lost").await.is_empty());
        stack.release(&acme, &over).await.unwrap();
        jobs.end(PATIENCE).await;
    }

    async fn a_lease_that_ended_behind_our_back_is_forgotten_and_recorded(db: TestDb) {
        let stack = Stack::start(&db).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        let leased = stack.lease(&acme).await.unwrap();
        stack.bao.admin(Method::PUT, "sys/leases/revoke-prefix/database/creds/acme-role", json!({"sync": true})).await;
        hurry(&db).await;
        forgotten(&db).await;
        eventually("the audit event", async || (audited(&db, "database.lease_lost").await.len() == 1).then_some(())).await;
        let target = strings(&db, "SELECT target FROM audit_events WHERE action = 'database.lease_lost'").await;
        assert_eq!(target, [leased.id.to_string()]);
        stack.release(&acme, &leased).await.unwrap();
        jobs.end(PATIENCE).await;
    }

    async fn an_outage_of_openbao_is_survived(db: TestDb) {
        let stack = Stack::start(&db).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        let leased = stack.lease(&acme).await.unwrap();
        let first = lapses(&db).await;
        stack.bao.seal().await;
        hurry(&db).await;
        eventually("a failure", async || strings(&db, "SELECT 'x' FROM database_leases WHERE failures > 0").await.pop()).await;
        assert_eq!((lapses(&db).await, recorded(&db).await), (first, 1));
        stack.bao.unseal().await;
        hurry(&db).await;
        eventually("a renewal", async || (lapses(&db).await > first).then_some(())).await;
        assert_eq!(strings(&db, "SELECT CAST(failures AS text) FROM database_leases").await, ["0"]);
        stack.log_in(&leased).await.unwrap();
        jobs.end(PATIENCE).await;
    }

    async fn a_lease_that_reaches_its_longest_life_is_left_alone(db: TestDb) {
        let stack = Stack::start(&db).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        stack.shorten(SHORT).await;
        let role = stack.app.find_role(&super::name("acme-role")).await.unwrap().unwrap();
        stack.bao.admin(Method::POST, "database/roles/acme-role", json!({
            "db_name": "acme", "default_ttl": SHORT, "max_ttl": SHORT + 3,
            "creation_statements": role.creation, "revocation_statements": role.revocation,
        })).await;
        stack.lease(&acme).await.unwrap();
        forgotten(&db).await;
        stack.logins_become(0).await;
        eventually("the audit event", async || (audited(&db, "database.lease_lost").await.len() == 1).then_some(())).await;
        jobs.end(PATIENCE).await;
    }

    async fn leases_are_sealed_anew_with_the_other_secrets(db: TestDb) {
        let stack = Stack::start(&db).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        let leased = stack.lease(&acme).await.unwrap();
        let sealed = async || strings(&db, "SELECT sealed FROM database_leases").await.remove(0);
        let (before, ring) = (sealed().await, stack.ring.clone());
        let run = sealing::reseal::begin(&db, &ring).await.unwrap().unwrap();
        sealing::reseal::renew(&db, &ring, run, |_| ()).await.unwrap();
        let sealer = Sealer::new(db.store.clone(), Some(ring));
        let done = leases::reseal(&db, &sealer, |_| ()).await.unwrap();
        assert_eq!((done.resealed, done.left), (1, 0));
        assert_ne!(sealed().await, before);
        assert_eq!(leases::keys_in_use(&db).await.unwrap().len(), 1);
        stack.release(&acme, &leased).await.unwrap();
        assert!(stack.logins().await.is_empty());
        jobs.end(PATIENCE).await;
    }

    async fn failures_of_openbao_are_not_repeated_for_each_lease(db: TestDb) {
        let fake = Fake::start("").await;
        let ring: Keyring = crate::keys::kek().into();
        let bao = super::client(&fake.address(), fake::TOKEN);
        let mut databases = Databases::new(&db, Sealer::new(db.store.clone(), Some(ring)));
        databases.openbao = Some(bao);
        let acme = provisioned_at(&db, &fake, 3600).await;
        for _ in 0..40 {
            leases::lease(&crate::db::platform_cx("database.lease"), &databases, &acme, None).await.unwrap();
        }
        (0..1000).for_each(|_| fake.fault("sys/leases/renew", Fault::Refuse(503, "Vault is sealed")));
        sql(&db, "UPDATE database_leases SET due_at = 0".to_owned()).await.unwrap();
        let mut jobs = tenantry::jobs::Jobs::new(&db, tenantry::jobs::StatusBoard::default());
        jobs.start(leases::KeepDatabaseLeases::new(&databases));
        eventually("all to be delayed", async || {
            (strings(&db, "SELECT 'x' FROM database_leases WHERE failures > 0").await.len() == 40).then_some(())
        })
        .await;
        jobs.end(PATIENCE).await;
        // Eight at once give up after their time limit; the others are not tried.
        let calls = fake.calls("sys/leases/renew");
        assert!((8..150).contains(&calls), "{calls} calls");
    }
}

/// The tenant `acme` with the rows of a provisioned database, whose role only the fake has.
async fn provisioned_at(db: &TestDb, fake: &Fake, ttl: u64) -> tenantry::base::TenantRef {
    let acme = crate::provisioner::starting::create(db, "acme").await;
    fake.role("acme", "acme-role", ttl);
    super::record_provisioned(db, &acme).await;
    acme
}
