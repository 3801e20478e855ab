//! The database server behind OpenBAO: down, full, and refusing.

use std::time::Duration;

use tenantry::openbao::{Cause, tenant_role};

use super::{Database, hurried, server_client};
use crate::harness::{openbao::OpenBaoServer, postgres::Postgres};

/// While the database server is down, no call is final: a retry heals it. Afterwards the same calls succeed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_server_that_is_down_can_pass() {
    let server = Postgres::start("", |_| {});
    let bao = OpenBaoServer::start().await;
    let token = bao.server_token().await;
    let app = hurried(bao.address(), &token, Duration::from_secs(2));
    let database = Database::at(&server.url()).await;
    let tenant = database.tenant().await;
    let (connection, role) = (&tenant.objects.connection, &tenant.objects.role);
    tenant_role::set_up(&app, &tenant.objects, &tenant.provisioner).await.unwrap();
    let lease = app.lease_credentials(role).await.unwrap().lease;
    drop(database);
    server.stop();
    let renewed = app.renew_lease(&lease.id, Duration::from_secs(3600)).await.map(drop);
    let leased = app.lease_credentials(role).await.map(drop);
    let revoked = app.revoke_lease(&lease.id).await;
    let set_up = tenant_role::set_up(&app, &tenant.objects, &tenant.provisioner).await;
    let torn_down = tenant_role::tear_down(&app, connection, role).await;
    for (what, result) in
        [("renew", renewed), ("lease", leased), ("revoke", revoked), ("set up", set_up), ("tear down", torn_down)]
    {
        let error = result.unwrap_err();
        assert_eq!((error.cause, error.can_pass()), (Cause::DatabaseDown, true), "{what}: {error}");
    }
    assert!(app.find_lease(&lease.id).await.unwrap().is_some(), "the lease is kept until it can be revoked");
    // A tenant can be suspended meanwhile.
    tenant_role::stop_leasing(&app, connection).await.unwrap();
    server.resume();
    let database = Database::at(&server.url()).await;
    assert_eq!(database.logins(&tenant).await, 1);
    tenant_role::tear_down(&app, connection, role).await.unwrap();
    assert_eq!(database.logins(&tenant).await, 0);
}

/// Each right of the provisioner is needed, and its absence is final and has a code.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provisioner_without_a_right_is_refused_with_the_code_of_the_database() {
    let (bao, database) = (OpenBaoServer::start().await, Database::shared().await);
    let app = server_client(&bao).await;
    let tenant = database.tenant().await;
    let (role, owner, user) = (&tenant.objects.role, &tenant.objects.owner, &tenant.provisioner.username);
    tenant_role::set_up(&app, &tenant.objects, &tenant.provisioner).await.unwrap();
    for (take, give) in [
        (format!("ALTER ROLE {user} NOCREATEROLE"), format!("ALTER ROLE {user} CREATEROLE")),
        (format!("ALTER ROLE {user} NOLOGIN"), format!("ALTER ROLE {user} LOGIN")),
        (format!("ALTER ROLE {user} PASSWORD 'other'"), format!("ALTER ROLE {user} PASSWORD 'p@ss:w/r?d%&''\"$1'")),
        (format!("ALTER DATABASE {} CONNECTION LIMIT 0", tenant.objects.database), String::new()),
    ] {
        database.run(&take).await;
        let error = hurried(bao.address(), bao.root(), Duration::from_secs(1)).lease_credentials(role).await;
        let error = error.unwrap_err();
        match error.cause {
            Cause::DatabaseRefused(code) => assert_eq!(&code, b"42501", "{take}"),
            Cause::DatabaseLogin => assert!(take.contains("LOGIN") || take.contains("PASSWORD"), "{take}"),
            // The server is full (53300).
            Cause::DatabaseDown => assert!(take.contains("LIMIT"), "{take}"),
            other => panic!("{take}: {other:?}"),
        }
        if !give.is_empty() {
            database.run(&give).await;
            app.lease_credentials(role).await.unwrap();
        }
    }
    database.run(&format!("ALTER DATABASE {} CONNECTION LIMIT -1", tenant.objects.database)).await;
    app.revoke_leases(role).await.unwrap();
    assert_eq!(database.logins(&tenant).await, 0, "{owner}");
}
