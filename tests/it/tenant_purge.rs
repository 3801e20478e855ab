//! The purge of deleted tenants: they are invisible at once, and their rows are removed in batches, across crashes.

use http::Method;
use sea_orm::{ConnectionTrait, Database, EntityTrait};
use tenantry::{
    base::TenantId,
    messaging::{MessagingSettings, namespaces, policies::NamespacePolicies, tenants as messaging},
    operations::{self, Kinds, Operation, State},
    store::tables::{operations as operation_rows, tenants as tenant_rows},
    tenants::{self, PurgeTenant},
};

use crate::{
    db::{TestDb, platform_cx},
    durable_operations::settle,
    harness::{
        eventually,
        server::{Server, Setup},
    },
    rows,
};

/// More than two batches.
const ACCOUNTS: u32 = 1200;

/// A server with a tenant that has many accounts.
async fn server_of(db: &TestDb) -> Server {
    let server = Setup::dev().database(&db.url).start().await;
    let created = server.admin().put("/admin/v2/tenants/acme", r#"{"allowedClusters":["standalone"]}"#).await;
    assert_eq!(created.status, 204, "{created:?}");
    fill(db).await;
    server
}

/// Runs a statement on a separate connection, and returns the number of changed rows.
async fn sql(db: &TestDb, text: impl AsRef<str>) -> u64 {
    let beside = Database::connect(&db.url).await.unwrap();
    let done = beside.execute_unprepared(text.as_ref()).await.unwrap().rows_affected();
    beside.close().await.unwrap();
    done
}

/// Adds accounts, each with a recovery code.
async fn fill(db: &TestDb) {
    let (new_id, number) = match db.is_sqlite() {
        true => ("randomblob(16)", "i"),
        false => ("gen_random_uuid()", "i::text"),
    };
    let accounts = format!(
        "INSERT INTO accounts (id, tenant_id, username, username_key, password_hash, role, status, epoch, \
         epoch_changed_at, created_at, updated_at) \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ACCOUNTS}) \
         SELECT {new_id}, tenants.id, 'user' || {number}, 'user' || {number}, '', 'user', 'active', 1, 0, 0, 0 \
         FROM n, tenants WHERE tenants.name = 'acme'"
    );
    assert_eq!(sql(db, accounts).await, u64::from(ACCOUNTS));
    let codes = "INSERT INTO recovery_codes (account_id, code_hash, created_at) \
                 SELECT id, 'x', 0 FROM accounts WHERE tenant_id IS NOT NULL";
    sql(db, codes).await;
}

async fn delete(server: &Server) {
    let deleted = server.admin().call(Method::DELETE, "/admin/v2/tenants/acme", None).await;
    assert_eq!(deleted.status, 204, "{deleted:?}");
}

/// The operation that removes the tenant.
async fn purge(db: &TestDb) -> Operation {
    let row = operation_rows::Entity::find().one(db.read()).await.unwrap().expect("an operation of the deletion");
    operations::get(&platform_cx("x"), db, row.id).await.unwrap()
}

/// A tenant with a namespace that was deleted with force.
async fn delete_with_namespace(db: &TestDb) -> TenantId {
    let tenant = rows::tenant(db, "acme").await;
    let (cx, policies) = (platform_cx("namespace.create"), NamespacePolicies::default());
    namespaces::create(&cx, db, "acme", "ns", &policies).await.unwrap();
    let settings = MessagingSettings { force_delete: true, max_tenants: None };
    messaging::delete(&platform_cx("tenant.delete"), db, &settings, "acme", true).await.unwrap();
    tenant.tenant()
}

fn step(operation: &Operation, name: &str) -> (u64, bool) {
    let step = operation.steps.iter().find(|step| step.name == name).unwrap();
    (step.items, step.is_done())
}

async fn count(db: &TestDb, table: &str) -> i64 {
    let query = sea_orm::Statement::from_string(db.backend(), format!("SELECT count(*) FROM {table}"));
    db.read().query_one_raw(query).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

/// Checks that callers cannot find the tenant, and that its name is free.
async fn is_gone_for_callers(server: &Server) {
    for path in ["/admin/v2/tenants/acme", "/v1/tenants/acme", "/api/control-plane/tenants/acme"] {
        assert_eq!(server.admin().get(path).await.status, 404, "{path}");
    }
    let again = server.admin().put("/admin/v2/tenants/acme", r#"{"allowedClusters":["standalone"]}"#).await;
    assert_eq!(again.status, 204, "{again:?}");
    delete(server).await;
}

/// Waits for the end of all purges, and checks that no row is left.
async fn is_removed(db: &TestDb) {
    eventually("the rows to be removed", async || {
        let states: Vec<_> = operation_rows::Entity::find().all(db.read()).await.unwrap();
        states.iter().all(|row| row.state == "succeeded").then_some(())
    })
    .await;
    for table in ["tenants", "recovery_codes", "messaging_tenants", "leases WHERE name LIKE 'operation:%'"] {
        assert_eq!(count(db, table).await, 0, "{table}");
    }
    assert_eq!(count(db, "accounts WHERE tenant_id IS NOT NULL").await, 0);
}

/// Makes the removal of accounts fail when this many are left.
async fn break_accounts(db: &TestDb, left: u32) {
    let few = format!("(SELECT count(*) FROM accounts WHERE tenant_id = OLD.tenant_id) <= {left}");
    if db.is_sqlite() {
        let stop =
            format!("CREATE TRIGGER stop BEFORE DELETE ON accounts WHEN {few} BEGIN SELECT RAISE(ABORT, 'stop'); END");
        sql(db, stop).await;
        return;
    }
    let function = format!(
        "CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS \
         $$BEGIN IF {few} THEN RAISE EXCEPTION 'stop'; END IF; RETURN OLD; END$$"
    );
    sql(db, function).await;
    sql(db, "CREATE TRIGGER stop BEFORE DELETE ON accounts FOR EACH ROW EXECUTE FUNCTION stop()").await;
}

/// Makes the removal of accounts never end, inside its transaction.
async fn hold_accounts(db: &TestDb) {
    if db.is_sqlite() {
        let spin = "CREATE TRIGGER stop BEFORE DELETE ON accounts BEGIN \
                    SELECT count(*) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n); END";
        sql(db, spin).await;
        return;
    }
    let function = "CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS \
                    $$BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN OLD; END$$";
    sql(db, function).await;
    sql(db, "CREATE TRIGGER stop BEFORE DELETE ON accounts FOR EACH ROW EXECUTE FUNCTION stop()").await;
}

async fn mend_accounts(db: &TestDb) {
    let on = if db.is_sqlite() { "" } else { " ON accounts" };
    sql(db, format!("DROP TRIGGER stop{on}")).await;
}

both_databases! {
    async fn a_server_killed_between_two_batches_is_continued_by_the_next(db: TestDb) {
        let mut server = server_of(&db).await;
        break_accounts(&db, 700).await;
        delete(&server).await;
        let stuck = eventually("the second batch of accounts to fail", async || {
            Some(purge(&db).await).filter(|operation| operation.attempts > 0)
        })
        .await;
        assert_eq!((step(&stuck, "groups"), step(&stuck, "accounts")), ((0, true), (500, false)));
        assert_eq!(count(&db, "accounts WHERE tenant_id IS NOT NULL").await, 700, "each batch must be one transaction");
        assert_eq!(stuck.failure.unwrap().cause, "internal error", "the failure must not contain the text of the database");
        is_gone_for_callers(&server).await;
        server.kill().await;
        mend_accounts(&db).await;
        let _next = server.setup().start().await;
        is_removed(&db).await;
    }

    async fn a_server_killed_inside_of_a_batch_is_continued_by_the_next(db: TestDb) {
        let mut server = server_of(&db).await;
        // On PostgreSQL the batch waits for a lock of the test; on SQLite it runs an endless query.
        let lock = Database::connect(&db.url).await.unwrap();
        let held = sea_orm::TransactionTrait::begin(&lock).await.unwrap();
        if !db.is_sqlite() {
            held.execute_unprepared("SELECT pg_advisory_xact_lock(4711)").await.unwrap();
        }
        hold_accounts(&db).await;
        delete(&server).await;
        eventually("the batch to begin", async || is_inside(&db).await.then_some(())).await;
        let before = purge(&db).await;
        assert_eq!((step(&before, "groups"), step(&before, "accounts")), ((0, true), (0, false)));
        server.kill().await;
        held.rollback().await.unwrap();
        mend_accounts(&db).await;
        assert_eq!(count(&db, "accounts WHERE tenant_id IS NOT NULL").await, i64::from(ACCOUNTS), "the interrupted batch must not be committed");
        let _next = server.setup().start().await;
        is_removed(&db).await;
        assert_eq!(step(&purge(&db).await, "accounts"), (u64::from(ACCOUNTS), true));
    }

    async fn a_failed_purge_is_started_again(db: TestDb) {
        let deleted = delete_with_namespace(&db).await;
        sql(&db, "UPDATE operations SET state = 'failed', ended_at = 1").await;
        let tenant = tenant_rows::Entity::find_by_id(deleted).one(db.read()).await.unwrap().unwrap();
        assert_eq!(tenant.status, tenants::Status::Deleted);
        let job = tenants::jobs::DeleteExpiredTenants::new(&db);
        for more in [1, 0] {
            let report = tenantry::jobs::Job::run(&job, &tenantry::jobs::Run::unleased()).await.unwrap();
            assert!(!report.more);
            assert_eq!(count(&db, "operations").await, 2, "{more}");
        }
        settle(&db, Kinds::default().with(PurgeTenant::new(&db))).await;
        assert_eq!((count(&db, "tenants").await, count(&db, "namespaces").await), (0, 0));
        let last = operation_rows::Entity::find().all(db.read()).await.unwrap();
        assert!(last.iter().any(|row| row.state == State::Succeeded.as_str()));
        let gone = "outbox WHERE topic = 'namespace' AND key = 'acme/ns' AND payload LIKE '%deleted%'";
        assert_eq!(count(&db, gone).await, 1, "the outbox must have an event for each removed namespace");
    }

    async fn sessions_of_a_deleted_tenant_are_refused_during_the_purge(db: TestDb) {
        let server = server_of(&db).await;
        break_accounts(&db, ACCOUNTS).await;
        let token = server.setup().mint(&["--role", "admin", "--tenant", "acme"]).await;
        assert_eq!(server.http().token(&token).get("/v1/admin/users").await.status, 200);
        delete(&server).await;
        assert_eq!(server.http().token(&token).get("/v1/admin/users").await.status, 401);
        mend_accounts(&db).await;
        is_removed(&db).await;
    }
}

/// Whether the server is inside the transaction that removes accounts.
async fn is_inside(db: &TestDb) -> bool {
    if db.is_sqlite() {
        if !step(&purge(db).await, "groups").1 {
            return false;
        }
        // The writer locks the file during the batch.
        let other = Database::connect(&db.url).await.unwrap();
        other.execute_unprepared("PRAGMA busy_timeout = 0").await.unwrap();
        let taken = other.execute_unprepared("BEGIN IMMEDIATE").await.is_err();
        other.close().await.unwrap();
        return taken;
    }
    let waiting = "pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted";
    count(db, waiting).await > 0
}
