//! When streams of gateways end.

use std::time::Instant;

use serde_json::json;
use tenantry_gateway_sim::Selected;

use super::{SOON, TENANT, admin, applied, fleet, plan, publisher, serve, url};
use crate::harness::{PATIENCE, eventually};

both_databases! {
    async fn a_gateway_that_is_revoked_and_one_of_a_suspended_tenant_lose_their_streams(db: TestDb) {
        let (server, pool) = serve(&db).await;
        let url = url(&server);
        let mut fleet = fleet(&server, &pool, &plan(&url), 4).await;
        let (version, _) = publisher(&server, &url).publish(Selected::Stable, 1).await.unwrap();
        applied(&fleet, &[0, 1, 2, 3], version).await;

        for (number, (action, code)) in [("revoke", "Unauthenticated"), ("disable", "PermissionDenied")].into_iter().enumerate() {
            let body = json!({"action": action, "tenant_id": TENANT, "gateway_id": fleet.ids[number]});
            admin(&server, "/v1/admin/gateways/lifecycle", body).await;
            let began = Instant::now();
            eventually("the stream to end", async || (fleet.progress.ends().len() > number).then_some(())).await;
            assert!(began.elapsed() < SOON, "{action}: {:?}", began.elapsed());
            let expected = format!("{}: {code}: ", fleet.ids[number]);
            assert!(fleet.progress.ends()[number].starts_with(&expected), "{:?}", fleet.progress.ends());
        }
        let (next, _) = publisher(&server, &url).publish(Selected::Stable, 2).await.unwrap();
        applied(&fleet, &[2, 3], next).await;

        let suspend = json!({"action": "suspend", "tenant_id": TENANT});
        admin(&server, "/v1/admin/tenants/lifecycle", suspend).await;
        let began = Instant::now();
        eventually("the streams to end", async || (fleet.progress.ends().len() == 4).then_some(())).await;
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
        tokio::time::timeout(PATIENCE, async {
            while fleet.running() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
    }
}
