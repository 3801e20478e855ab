//! The keeper of leases with the real server. `src/openbao/keeper/tests.rs` has its rules.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tenantry::openbao::{
    Cause, LeaseKeeper,
    keeper::Bounds,
    tenant_role::{self, TenantDatabase},
};

use super::{Database, Tenant, server_client};
use crate::harness::{eventually, openbao::OpenBaoServer};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_login_outlives_its_time_and_ends_with_the_keeper() {
    let (bao, database) = (OpenBaoServer::start().await, Database::shared().await);
    let app = server_client(&bao).await;
    let Tenant { objects, provisioner } = database.tenant().await;
    let objects = TenantDatabase { default_ttl: Duration::from_secs(3), ..objects };
    let tenant = Tenant { objects, provisioner };
    tenant_role::set_up(&app, &tenant.objects, &tenant.provisioner).await.unwrap();
    let role = &tenant.objects.role;
    let keeper = LeaseKeeper::new(app.clone(), Bounds::default());
    let first = keeper.credentials(role).await.unwrap();
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if keeper.is_due() {
            keeper.step().await;
        }
    }
    let again = keeper.credentials(role).await.unwrap();
    assert_eq!((again.username.as_str(), keeper.count()), (first.username.as_str(), 1));
    database.log_in(&tenant, &again.username, again.password.expose()).await.unwrap();

    // A lease that ended behind our back is replaced.
    app.revoke_leases(role).await.unwrap();
    eventually("the lease to be dropped", async || {
        keeper.step().await;
        (keeper.count() == 0).then_some(())
    })
    .await;
    let next = keeper.credentials(role).await.unwrap();
    assert_ne!(next.username, first.username);

    keeper.evict(role).await.unwrap();
    assert_eq!(database.logins(&tenant).await, 0);
    keeper.credentials(role).await.unwrap();
    assert_eq!((keeper.end().await, database.logins(&tenant).await), (0, 0));
    assert_eq!(keeper.credentials(role).await.unwrap_err().cause, Cause::Stopping);
    tenant_role::tear_down(&app, &tenant.objects.connection, role).await.unwrap();
}

/// Leases end with the token that made them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_token_gets_a_new_login() {
    let (bao, database) = (OpenBaoServer::start().await, Database::shared().await);
    let tenant = database.tenant().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let token = bao.server_token().await;
    std::fs::write(file.path(), &token).unwrap();
    let credential = tenantry::openbao::Credential::TokenFile(file.path().to_owned());
    let app = tenantry::openbao::OpenBao::new(bao.settings(credential)).unwrap();
    tenant_role::set_up(&app, &tenant.objects, &tenant.provisioner).await.unwrap();
    let keeper = LeaseKeeper::new(app.clone(), Bounds::default());
    let first = keeper.credentials(&tenant.objects.role).await.unwrap();
    std::fs::write(file.path(), bao.server_token().await).unwrap();
    app.tend().await.unwrap();
    bao.admin(Method::POST, "auth/token/revoke", json!({"token": token})).await;
    let next = keeper.credentials(&tenant.objects.role).await.unwrap();
    assert_ne!(next.username, first.username);
    database.log_in(&tenant, &next.username, next.password.expose()).await.unwrap();
    assert_eq!((keeper.end().await, database.logins(&tenant).await), (0, 0));
    tenant_role::tear_down(&app, &tenant.objects.connection, &tenant.objects.role).await.unwrap();
}
