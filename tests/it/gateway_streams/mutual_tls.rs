//! Streams over the listener that asks for certificates, and what ends them there.

use serde_json::json;
use tenantry_gateway_sim::{Plan, Selected};
use tenantry_proto::edge::v1::Material;

use super::{PATIENCE, TENANT, admin, applied, assert_nothing_refused, fleet, mutual, plan, publisher, serve, url};
use crate::harness::eventually;

both_databases! {
    async fn a_gateway_streams_with_its_certificate_through_a_rotation(db: TestDb) {
        let (server, pool) = serve(&db).await;
        let plan = Plan { mutual: Some(mutual(&server)), ..plan(&url(&server)) };
        let fleet = fleet(&server, &pool, &plan, 3).await;
        let publisher = publisher(&server, &url(&server));
        let all = [0, 1, 2];
        let (first, _) = publisher.publish(Selected::Stable, 1).await.unwrap();
        applied(&fleet, &all, first).await;

        // The key that signs policies is replaced at once: the next set of anchors comes first, then the policies, signed anew.
        let before = fleet.progress.of(0, Material::GatewayPolicy).unwrap();
        let rotate = json!({"tenant_id": TENANT, "use": "policy-signing", "emergency": true, "reason": "it leaked"});
        admin(&server, "/v1/trust/anchors/rotate", rotate).await;
        tokio::time::timeout(PATIENCE, fleet.progress.all(&all, Material::TrustAnchors, 2)).await.expect("new anchors");
        eventually("policies that the new key signed", async || {
            let now = |gateway: &usize| fleet.progress.of(*gateway, Material::GatewayPolicy).unwrap();
            all.iter().all(|gateway| now(gateway).digest != before.digest).then_some(())
        })
        .await;
        let (next, _) = publisher.publish(Selected::Stable, 2).await.unwrap();
        applied(&fleet, &all, next).await;
        assert_nothing_refused(&fleet);
        let rollout = server.admin().get(&format!("/v1/admin/policy/rollout?tenant_id={TENANT}")).await.json();
        assert_eq!(rollout["total"], 3, "{rollout}");
        eventually("the acknowledgements in the rollout", async || {
            let rollout = server.admin().get(&format!("/v1/admin/policy/rollout?tenant_id={TENANT}")).await.json();
            let current = rollout["gateways"].as_array().unwrap().iter().all(|gateway| {
                gateway["wanted"] == next && gateway["acknowledged"] == next && gateway["lag_seconds"] == 0
            });
            current.then_some(())
        })
        .await;
    }
}
