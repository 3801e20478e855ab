//! A server that is killed between and inside of the steps of provisioning: the next one completes it.

use tenantry::{
    base::{Result, TenantRef},
    controlplane::provisioning::{self, AutoPlacement, Provisioning, ServerAddress, Site},
    operations::{self, State},
    store::Store,
};

use super::{LOGIN, PASSWORD, Place, starting};
use crate::{
    db::platform_cx,
    harness::{eventually, server::Setup, tripwire::Tripwire},
    rows::sql,
};

/// Between two pieces of the conversation with the database server at which the server is killed. A run has about sixty.
const STRIDE: i64 = 8;

async fn start(store: &Store, port: u16, tenant: &TenantRef) -> Result<Provisioning> {
    let server = ServerAddress { host: Some("127.0.0.1".to_owned()), port };
    let site = Site { server: Some(server), openbao: false };
    let cx = platform_cx("tenant.provision");
    provisioning::auto_provision(&cx, store, &site, tenant, AutoPlacement::default()).await
}

/// Waits until the operation has succeeded.
async fn succeeded(store: &Store, started: &Provisioning) {
    eventually("provisioning", async || {
        let operation = operations::get(&platform_cx("x"), store, started.operation).await.unwrap();
        assert!(!operation.state.is_final() || operation.state == State::Succeeded, "{operation:?}");
        operation.state.is_final().then_some(())
    })
    .await;
}

both_databases! {
    async fn a_killed_server_leaves_nothing_that_the_next_one_does_not_complete(db: TestDb) {
        let place = Place::of_18().await;
        let wire = Tripwire::to(place.postgres.port()).await;
        let port = wire.address.port();
        let url = format!("postgres://{LOGIN}:{PASSWORD}@127.0.0.1:{port}/postgres");
        let setup = Setup::dev().database(&db.url).env("TENANTRY_PROVISIONER_URL", url);
        let mut server = setup.start().await;
        // Other points on the other database.
        let mut piece = if db.is_sqlite() { 1 } else { 1 + STRIDE / 2 };
        let mut kills = 0;
        loop {
            let slug = format!("acme-{piece}");
            let tenant = starting::create(&db, &slug).await;
            wire.arm(piece, piece / STRIDE % 2 == 0, false);
            let started = start(&db, port, &tenant).await.unwrap();
            let killed = tokio::select! {
                () = wire.tripped() => true,
                () = succeeded(&db, &started) => false,
            };
            if !killed {
                break;
            }
            server.kill().await;
            kills += 1;
            wire.disarm();
            // Instead of waiting until the lease of the killed server is over.
            sql(&db, "UPDATE leases SET expires_at = 0 WHERE name LIKE 'operation:%'".to_owned()).await.unwrap();
            server = setup.start().await;
            succeeded(&db, &started).await;
            let name = started.placement.dbname.as_deref().unwrap();
            let found = place.catalog().await;
            let database = found.iter().find(|line| line.starts_with(&format!("database {name} of "))).unwrap_or_else(|| panic!("{found:#?}"));
            assert!(database.contains(" true UTF8 tenantry: tenant ") && !database.contains("{="), "piece {piece}: {database}");
            piece += STRIDE;
        }
        assert!(kills >= 5, "{kills}");
        drop(server);
    }
}
