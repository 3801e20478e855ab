//! Provisioning as an operation, on both databases and against a real server.

use std::{sync::Arc, time::Duration};

use sea_orm::{ConnectionTrait, EntityTrait, PaginatorTrait, Statement};
use tenantry::{
    base::{Kind, TenantRef, error::Reason},
    controlplane::{
        migrations::TenantMigrations,
        provisioning::{self, AutoPlacement, ProvisionTenant, Provisioning, ServerAddress, Site},
    },
    jobs::{Jobs, StatusBoard},
    operations::{self, Kinds, Operation, RunOperations, State},
    providers::provisioner::Provisioner,
    store::{Store, tables::operations as rows},
};

use super::{Place, starting};
use crate::{
    db::{TestDb, platform_cx},
    harness::{PATIENCE, eventually},
    rows::sql,
};

/// The kind of operation of a server without OpenBAO, with the migrations of the program.
pub fn kind(store: &Store, provisioner: Provisioner) -> ProvisionTenant {
    ProvisionTenant::new(store, provisioner, None, Arc::new(TenantMigrations::embedded().unwrap()))
}

/// A server that runs provisioning.
fn serve(store: &Store, provisioner: Provisioner) -> Jobs {
    let mut jobs = Jobs::new(store, StatusBoard::default());
    jobs.start(RunOperations::new(store, Kinds::default().with(kind(store, provisioner))));
    jobs
}

/// The site of a provisioner, without OpenBAO.
pub fn site(provisioner: &Provisioner) -> Site {
    let (host, port) = provisioner.address();
    Site { server: Some(ServerAddress { host: host.map(str::to_owned), port }), openbao: false }
}

async fn start(store: &Store, place: &Place, tenant: &TenantRef) -> Provisioning {
    let (cx, site) = (platform_cx("tenant.provision"), site(&place.provisioner()));
    provisioning::auto_provision(&cx, store, &site, tenant, AutoPlacement::default()).await.unwrap()
}

pub async fn finish(store: &Store, started: &Provisioning) -> tenantry::base::Result<()> {
    provisioning::finish(&platform_cx("tenant.provision"), store, started, PATIENCE).await.map(drop)
}

async fn read(store: &Store, started: &Provisioning) -> Operation {
    operations::get(&platform_cx("x"), store, started.operation).await.unwrap()
}

/// Waits until an attempt has failed.
pub async fn failed(store: &Store, started: &Provisioning) -> Operation {
    eventually("a failed attempt", async || Some(read(store, started).await).filter(|operation| operation.attempts > 0))
        .await
}

/// Makes the next attempt due now.
pub async fn hurry(db: &TestDb) {
    sql(db, "UPDATE operations SET due_at = 0".to_owned()).await.unwrap();
    db.operations_due().activate();
}

/// The first columns of the rows of a query.
pub async fn strings(db: &TestDb, sql: &str) -> Vec<String> {
    let query = Statement::from_string(db.backend(), sql);
    let rows = db.read().query_all_raw(query).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

async fn databases(place: &Place) -> Vec<String> {
    place.sql("SELECT datname FROM pg_database WHERE datname ~ '^tenant_' AND datallowconn ORDER BY 1").await
}

both_databases! {
    async fn a_tenant_gets_its_database(db: TestDb) {
        let place = Place::of_18().await;
        let acme = starting::create(&db, "acme").await;
        let jobs = serve(&db, place.provisioner());
        let started = start(&db, &place, &acme).await;
        finish(&db, &started).await.unwrap();
        assert_eq!(databases(&place).await, ["tenant_acme"]);
        let operation = read(&db, &started).await;
        let steps: Vec<_> = operation.steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(steps, ["create owner role", "create database", "open database", "set up OpenBAO", "record database", "migrate database"]);
        assert_eq!(strings(&db, "SELECT 'row' FROM tenant_databases").await, ["row"]);
        // Again, which changes nothing.
        let again = start(&db, &place, &acme).await;
        assert_ne!(again.operation, started.operation);
        finish(&db, &again).await.unwrap();
        assert_eq!(databases(&place).await, ["tenant_acme"]);
        jobs.end(PATIENCE).await;
    }

    async fn calls_on_two_servers_at_once_share_one_operation(db: TestDb) {
        let (place, replica) = (Place::installed().await, db.replica().await);
        let acme = starting::create(&db, "acme").await;
        let servers = [serve(&db, place.provisioner()), serve(&replica, place.provisioner())];
        let call = async |store: &Store| {
            let started = start(store, &place, &acme).await;
            finish(store, &started).await.map(|()| started.operation)
        };
        let (one, two) = tokio::join!(call(&db.store), call(&replica));
        one.unwrap();
        two.unwrap();
        // The second one may have come after the first had ended.
        assert!(rows::Entity::find().count(db.read()).await.unwrap() <= 2);
        assert_eq!(databases(&place).await, ["tenant_acme"]);
        for jobs in servers {
            jobs.end(PATIENCE).await;
        }
    }

    async fn the_operation_of_a_server_that_is_down_continues_when_it_is_back(db: TestDb) {
        let mut place = Place::installed().await;
        let acme = starting::create(&db, "acme").await;
        place.postgres.stop();
        let jobs = serve(&db, place.provisioner());
        let started = start(&db, &place, &acme).await;
        failed(&db, &started).await;
        let cx = platform_cx("tenant.provision");
        let error = provisioning::finish(&cx, &db, &started, Duration::ZERO).await.unwrap_err();
        assert_eq!((error.kind, error.reason), (Kind::Unavailable, Reason::ProvisioningFailed));
        let expected = format!(
            "Tenant provisioning failed at create owner role: the database server cannot be reached; the operation {} continues",
            started.operation
        );
        assert_eq!(error.to_string(), expected);
        place.postgres.resume();
        hurry(&db).await;
        finish(&db, &started).await.unwrap();
        place.reconnect().await;
        assert_eq!(databases(&place).await, ["tenant_acme"]);
        jobs.end(PATIENCE).await;
    }

    async fn another_call_does_not_wait_for_the_next_attempt(db: TestDb) {
        let mut place = Place::of_18().await;
        let acme = starting::create(&db, "acme").await;
        place.postgres.stop();
        let jobs = serve(&db, place.provisioner());
        let started = start(&db, &place, &acme).await;
        failed(&db, &started).await;
        let later = "UPDATE operations SET due_at = 9000000000000000, attempts = 8".to_owned();
        sql(&db, later).await.unwrap();
        place.postgres.resume();
        assert_eq!(start(&db, &place, &acme).await, started);
        finish(&db, &started).await.unwrap();
        place.reconnect().await;
        assert_eq!(databases(&place).await, ["tenant_acme"]);
        jobs.end(PATIENCE).await;
    }

    async fn a_caller_does_not_wait_for_a_server_that_stays_down(db: TestDb) {
        let place = Place::installed().await;
        let acme = starting::create(&db, "acme").await;
        let jobs = serve(&db, place.provisioner());
        place.postgres.stop();
        let started = start(&db, &place, &acme).await;
        // The third attempt comes about three seconds after the first one.
        let error = finish(&db, &started).await.unwrap_err();
        assert_eq!(error.kind, Kind::Unavailable, "{error}");
        assert!(!read(&db, &started).await.state.is_final());
        jobs.end(PATIENCE).await;
    }

    async fn a_failure_that_does_not_pass_ends_the_operation(db: TestDb) {
        let place = Place::of_18().await;
        let jobs = serve(&db, place.provisioner());
        for (slug, statement, reason, text) in [
            ("taken", "CREATE DATABASE tenant_taken", Reason::DatabaseNameTaken,
                "Tenant provisioning failed at create database: the name is taken: the database tenant_taken exists and was not created for this tenant"),
            ("rights", "ALTER ROLE provisioner NOCREATEROLE", Reason::ProvisioningFailed,
                "Tenant provisioning failed at create owner role: permission denied for the provisioner role, which needs CREATEROLE"),
            ("password", "ALTER ROLE provisioner PASSWORD 'other'", Reason::ProvisioningFailed,
                "Tenant provisioning failed at create owner role: the database server refused the password of the provisioner role"),
        ] {
            let tenant = starting::create(&db, slug).await;
            place.sql(statement).await;
            let started = start(&db, &place, &tenant).await;
            let error = finish(&db, &started).await.unwrap_err();
            assert_eq!((error.kind, error.reason, error.to_string().as_str()), (Kind::FailedPrecondition, reason, text));
            assert_eq!(read(&db, &started).await.state, State::Failed);
            // A later call starts another operation.
            assert_ne!(start(&db, &place, &tenant).await.operation, started.operation);
        }
        jobs.end(PATIENCE).await;
    }

    async fn a_tenant_that_is_deleted_meanwhile_ends_its_operation(db: TestDb) {
        let mut place = Place::installed().await;
        let acme = starting::create(&db, "acme").await;
        place.postgres.stop();
        let jobs = serve(&db, place.provisioner());
        let started = start(&db, &place, &acme).await;
        failed(&db, &started).await;
        starting::delete(&db, &acme, "acme").await;
        place.postgres.resume();
        place.reconnect().await;
        hurry(&db).await;
        let ended = eventually("the operation to end", async || Some(read(&db, &started).await).filter(|operation| operation.state.is_final())).await;
        assert_eq!((ended.state, ended.failure.unwrap().cause.as_str()), (State::Failed, "the tenant was deleted"));
        assert!(databases(&place).await.is_empty());
        // A new tenant of the same name has another database.
        let again = starting::create(&db, "acme").await;
        let started = start(&db, &place, &again).await;
        finish(&db, &started).await.unwrap();
        let names = databases(&place).await;
        assert!(names.len() == 1 && names[0].starts_with("tenant_acme_"), "{names:?}");
        jobs.end(PATIENCE).await;
    }
}
