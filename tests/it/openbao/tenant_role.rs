//! The logins of a tenant, with a real database.

use std::time::Duration;

use tenantry::openbao::{Cause, Credentials, OpenBao, tenant_role};

use super::{Database, Tenant, name, server_client};
use crate::harness::{eventually, openbao::OpenBaoServer};

/// The servers, a client with the rights of the server, and a tenant that is set up.
async fn set_up() -> (OpenBaoServer, OpenBao, Database, Tenant) {
    let (bao, database) = (OpenBaoServer::start().await, Database::shared().await);
    let app = server_client(&bao).await;
    let tenant = database.tenant().await;
    tenant_role::set_up(&app, &tenant.objects, &tenant.provisioner).await.unwrap();
    (bao, app, database, tenant)
}

async fn log_in(database: &Database, tenant: &Tenant, leased: &Credentials) -> tokio_postgres::Client {
    database.log_in(tenant, &leased.username, leased.password.expose()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_login_creates_the_next_one_can_use() {
    let (_bao, app, database, tenant) = set_up().await;
    // It can be repeated.
    tenant_role::set_up(&app, &tenant.objects, &tenant.provisioner).await.unwrap();
    let role = &tenant.objects.role;
    let (first, second) = (app.lease_credentials(role).await.unwrap(), app.lease_credentials(role).await.unwrap());
    assert_ne!(first.username, second.username);
    let session = log_in(&database, &tenant, &first).await;
    let row = session.query_one("SELECT session_user::text, current_user::text", &[]).await.unwrap();
    let (user, acts_as): (String, String) = (row.get(0), row.get(1));
    assert_eq!((user, acts_as), (first.username.clone(), tenant.objects.owner.to_string()));
    session
        .batch_execute("CREATE SCHEMA app; CREATE TABLE app.notes (text text); INSERT INTO app.notes VALUES ('1')")
        .await
        .unwrap();
    app.revoke_lease(&first.lease.id).await.unwrap();
    let session = log_in(&database, &tenant, &second).await;
    session.batch_execute("INSERT INTO app.notes VALUES ('2'); ALTER TABLE app.notes ADD COLUMN n int").await.unwrap();
    assert_eq!(session.query("SELECT * FROM app.notes", &[]).await.unwrap().len(), 2);
    // Other databases and other tenants are out of reach.
    let other = database.tenant().await;
    let refused = database.log_in(&other, &second.username, second.password.expose()).await;
    assert!(refused.is_err());
    tenant_role::tear_down(&app, &tenant.objects.connection, role).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_moves_the_end_of_the_login_and_a_revocation_drops_it() {
    let (_bao, app, database, tenant) = set_up().await;
    let leased = app.lease_credentials(&tenant.objects.role).await.unwrap();
    let ends = async || {
        let query = "SELECT extract(epoch FROM rolvaliduntil - now())::float8 FROM pg_roles WHERE rolname = $1";
        database.admin.query_opt(query, &[&leased.username]).await.unwrap().map(|row| row.get::<_, f64>(0))
    };
    let first = ends().await.unwrap();
    assert!((3500.0..3700.0).contains(&first), "{first}");
    let renewed = app.renew_lease(&leased.lease.id, Duration::from_secs(7200)).await.unwrap();
    assert_eq!(renewed.duration, Duration::from_secs(7200));
    let next = ends().await.unwrap();
    assert!((7100.0..7300.0).contains(&next), "{next}");
    // Not beyond the longest life.
    let capped = app.renew_lease(&leased.lease.id, Duration::from_secs(1_000_000)).await.unwrap();
    assert!(capped.duration <= Duration::from_secs(24 * 3600), "{capped:?}");
    let session = log_in(&database, &tenant, &leased).await;
    let pid: i32 = session.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    app.revoke_lease(&leased.lease.id).await.unwrap();
    assert_eq!(ends().await, None);
    eventually("the session to end", async || {
        let sessions = database.admin.query("SELECT 1 FROM pg_stat_activity WHERE pid = $1", &[&pid]).await.unwrap();
        sessions.is_empty().then_some(())
    })
    .await;
    assert!(database.log_in(&tenant, &leased.username, leased.password.expose()).await.is_err());
    assert_eq!(app.find_lease(&leased.lease.id).await.unwrap(), None);
    tenant_role::tear_down(&app, &tenant.objects.connection, &tenant.objects.role).await.unwrap();
}

/// The default statements of OpenBAO, and a plain DROP ROLE, leave such logins behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_owns_objects_and_is_connected_is_dropped_and_its_objects_stay() {
    let (_bao, app, database, tenant) = set_up().await;
    let leased = app.lease_credentials(&tenant.objects.role).await.unwrap();
    let session = log_in(&database, &tenant, &leased).await;
    session.batch_execute("CREATE SCHEMA app; CREATE TABLE app.owners (n int)").await.unwrap();
    session.batch_execute(&format!("GRANT CREATE, USAGE ON SCHEMA app TO \"{}\"", leased.username)).await.unwrap();
    session
        .batch_execute("SET ROLE NONE; CREATE TABLE app.mine (n int); INSERT INTO app.mine VALUES (7)")
        .await
        .unwrap();
    // In the middle of a transaction that holds locks.
    session.batch_execute("BEGIN; LOCK TABLE app.mine").await.unwrap();
    app.revoke_leases(&tenant.objects.role).await.unwrap();
    assert_eq!(database.logins(&tenant).await, 0);
    let next = app.lease_credentials(&tenant.objects.role).await.unwrap();
    let session = log_in(&database, &tenant, &next).await;
    let found: i32 = session.query_one("SELECT n FROM app.mine", &[]).await.unwrap().get(0);
    assert_eq!(found, 7);
    let owner = "SELECT tableowner::text FROM pg_tables WHERE tablename = 'mine'";
    assert_eq!(session.query_one(owner, &[]).await.unwrap().get::<_, String>(0), tenant.objects.owner.to_string());
    tenant_role::tear_down(&app, &tenant.objects.connection, &tenant.objects.role).await.unwrap();
    assert_eq!(database.logins(&tenant).await, 0);
}

/// As after an attempt that was interrupted between its last statement and the removal of the lease.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lease_of_a_login_that_is_gone_is_revoked() {
    let (_bao, app, database, tenant) = set_up().await;
    let leased = app.lease_credentials(&tenant.objects.role).await.unwrap();
    database.run(&format!("DROP ROLE \"{}\"", leased.username)).await;
    app.revoke_lease(&leased.lease.id).await.unwrap();
    assert_eq!(app.find_lease(&leased.lease.id).await.unwrap(), None);
    tenant_role::tear_down(&app, &tenant.objects.connection, &tenant.objects.role).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leasing_can_be_stopped_and_resumed() {
    let (bao, app, database, tenant) = set_up().await;
    let (connection, role) = (&tenant.objects.connection, &tenant.objects.role);
    let leased = app.lease_credentials(role).await.unwrap();
    tenant_role::stop_leasing(&app, connection).await.unwrap();
    let refused = app.lease_credentials(role).await.unwrap_err();
    assert_eq!((refused.cause, refused.can_pass()), (Cause::RoleNotAllowed, false));
    let by_root =
        bao.api(reqwest::Method::GET, &format!("database/creds/{role}"), bao.root(), serde_json::Value::Null).await;
    assert_eq!(by_root.0, 500, "no token can lease: {by_root:?}");
    log_in(&database, &tenant, &leased).await;
    app.renew_lease(&leased.lease.id, Duration::from_secs(60)).await.unwrap();
    tenant_role::resume_leasing(&app, connection, role).await.unwrap();
    app.lease_credentials(role).await.unwrap();
    assert_eq!(database.logins(&tenant).await, 2);
    tenant_role::tear_down(&app, connection, role).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_teardown_leaves_no_login_and_can_be_repeated() {
    let (_bao, app, database, tenant) = set_up().await;
    let (connection, role) = (&tenant.objects.connection, &tenant.objects.role);
    for _ in 0..3 {
        app.lease_credentials(role).await.unwrap();
    }
    assert_eq!(database.logins(&tenant).await, 3);
    // One that cannot be dropped stops the teardown: role and connection are still needed.
    let user = &tenant.provisioner.username;
    database.run(&format!("ALTER ROLE {user} NOCREATEROLE")).await;
    let failed = tenant_role::tear_down(&app, connection, role).await.unwrap_err();
    assert_eq!((failed.cause, failed.can_pass()), (Cause::DatabaseRefused(*b"42501"), false));
    assert!(app.find_role(role).await.unwrap().is_some() && app.find_connection(connection).await.unwrap().is_some());
    database.run(&format!("ALTER ROLE {user} CREATEROLE")).await;
    tenant_role::tear_down(&app, connection, role).await.unwrap();
    assert_eq!(database.logins(&tenant).await, 0);
    assert_eq!((app.find_role(role).await.unwrap(), app.find_connection(connection).await.unwrap()), (None, None));
    tenant_role::tear_down(&app, connection, role).await.unwrap();
    tenant_role::tear_down(&app, &name("never"), &name("existed")).await.unwrap();
    // OpenBAO keeps no session that would prevent the database from being dropped.
    database.run(&format!("DROP DATABASE {}", tenant.objects.database)).await;
    database.run(&format!("DROP ROLE {}", tenant.objects.owner)).await;
}
