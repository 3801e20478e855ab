//! Streams over the listener that asks for certificates, and what ends them there.

use std::time::Duration;

use serde_json::json;
use tenantry_gateway_sim::{Plan, Selected};
use tenantry_proto::edge::v1::Material;

use super::{PATIENCE, TENANT, admin, applied, assert_nothing_refused, fleet, mutual, plan, publisher, serve, url};
use crate::harness::eventually;

both_databases! {
    async fn a_gateway_streams_with_its_certificate_through_a_rotation(db: TestDb) {
        let (server, pool) = serve(&db).await;
        let (mutual, metering) = (Some(mutual(&server)), Some(Duration::from_secs(1)));
        let plan = Plan { mutual, metering, ..plan(&url(&server)) };
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
        // They report what they have applied, each window once.
        eventually("reports of all gateways with what they have", async || {
            let health = server.admin().get(&format!("/v1/admin/gateway/health?tenant_id={TENANT}")).await.json();
            let has = |gateway: &serde_json::Value| gateway["state"] == "online" && gateway["applied"]["policy_version"] == next;
            health["gateways"].as_array().unwrap().iter().all(has).then_some(())
        })
        .await;
        let told = fleet.progress.reports();
        drop(fleet);
        let reports = server.admin().get(&format!("/v1/gateway/metering?tenant_id={TENANT}&limit=500")).await.json();
        let all = reports["reports"].as_array().unwrap();
        let different: std::collections::HashSet<_> = all.iter().map(|report| report["report_id"].to_string()).collect();
        // What was sent when the fleet stopped may have come as well.
        assert!((told..=told + 3).contains(&(all.len() as u64)) && different.len() == all.len() && told >= 3, "{told} {reports}");
    }
}
