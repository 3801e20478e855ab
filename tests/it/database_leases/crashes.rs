//! A server that is killed between the calls of a teardown: the next one completes it.

use reqwest::Method;
use serde_json::Value;

use super::{Stack, strings};
use crate::{
    harness::{eventually, http::Http, server::Setup, tripwire::Tripwire},
    rows::sql,
};

const BASE: &str = "/api/control-plane/tenants";

/// Creates and provisions a tenant, and leases a login.
async fn prepare(admin: &Http, slug: &str) {
    let body = format!(r#"{{"name":"{slug}","slug":"{slug}"}}"#);
    assert_eq!(admin.call(Method::POST, BASE, Some(&body)).await.status, 201);
    let provisioned = admin.call(Method::POST, &format!("{BASE}/{slug}/auto-provision"), Some("{}")).await;
    assert_eq!(provisioned.status, 200, "{provisioned:?}");
    let path = format!("/registry/v1/tenants/{slug}/database:leaseCredentials");
    let leased = admin.call(Method::POST, &path, Some("{}")).await;
    assert_eq!(leased.status, 200, "{leased:?}");
}

both_databases! {
    async fn a_killed_server_leaves_a_teardown_that_the_next_one_completes(db: TestDb) {
        let stack = Stack::start(&db).await;
        let port = stack.bao.address().rsplit_once(':').unwrap().1.parse().unwrap();
        let wire = Tripwire::to(port).await;
        let setup = Setup::dev()
            .database(&db.url)
            .env("TENANTRY_PROVISIONER_URL", stack.place.url())
            .env("TENANTRY_SELF_SERVICE_PROVISIONING", "true")
            .env("TENANTRY_OPENBAO_ADDR", format!("http://{}", wire.address))
            .env("TENANTRY_OPENBAO_TOKEN", &stack.token);
        let mut server = setup.start().await;
        let mut kills = 0;
        for piece in 1.. {
            let slug = format!("acme-{piece}");
            let admin = server.admin();
            prepare(&admin, &slug).await;
            wire.arm(piece, piece % 2 == 0, false);
            let body = format!(r#"{{"confirm":"{slug}","drop_database":true}}"#);
            let (path, deleting) = (format!("{BASE}/{slug}"), admin.clone());
            // Its connection may end with the server.
            let deleting = tokio::spawn(async move { deleting.call(Method::DELETE, &path, Some(&body)).await });
            let done = "SELECT state FROM operations WHERE kind = 'tenant.teardown' AND ended_at IS NULL OR state = 'failed'";
            let killed = tokio::select! {
                () = wire.tripped() => true,
                () = eventually("the teardown", async || {
                    let target = format!("SELECT 'x' FROM operations WHERE kind = 'tenant.teardown' AND target = '{slug}' AND state = 'succeeded'");
                    strings(&db, &target).await.pop().map(drop)
                }) => false,
            };
            if killed {
                server.kill().await;
                kills += 1;
                wire.disarm();
                // Instead of waiting until the leases of the killed server are over.
                sql(&db, "UPDATE leases SET expires_at = 0".to_owned()).await.unwrap();
                server = setup.start().await;
                eventually("the teardown", async || {
                    sql(&db, "UPDATE operations SET due_at = 0 WHERE attempts > 0 AND ended_at IS NULL".to_owned()).await.unwrap();
                    strings(&db, done).await.is_empty().then_some(())
                })
                .await;
            }
            wire.disarm();
            let _ = deleting.await;
            assert_eq!(stack.logins().await, [""; 0], "piece {piece}");
            let left = stack.place.sql("SELECT datname FROM pg_database WHERE datname LIKE 'tenant_%'").await;
            assert!(left.is_empty(), "piece {piece}: {left:?}");
            let (status, found) = stack.bao.api(Method::GET, "database/config?list=true", stack.bao.root(), Value::Null).await;
            assert_eq!(status, 404, "piece {piece}: {found}");
            if !killed {
                break;
            }
        }
        assert!(kills >= 4, "{kills}");
    }
}
