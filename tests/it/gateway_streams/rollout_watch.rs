//! The watch of the rollout, for administrators.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tenantry_gateway_sim::Selected;

use super::{TENANT, admin, applied, fleet, plan, publisher, serve, url};
use crate::harness::stream::Stream;

const GATEWAYS: usize = 5;

/// Reads events until one fits, and returns those before it.
async fn until(events: &mut Stream, fits: impl Fn(&Value) -> bool) -> (Vec<Value>, Value) {
    let mut before = Vec::new();
    loop {
        let event = events.json().await.expect("an event");
        if fits(&event) {
            return (before, event);
        }
        before.push(event);
    }
}

both_databases! {
    async fn administrators_watch_the_rollout(db: TestDb) {
        let (server, pool) = serve(&db).await;
        let (url, all) = (url(&server), (0..GATEWAYS).collect::<Vec<_>>());
        let fleet = fleet(&server, &pool, &plan(&url), GATEWAYS).await;
        let publisher = publisher(&server, &url);
        let (first, _) = publisher.publish(Selected::Stable, 1).await.unwrap();
        applied(&fleet, &all, first).await;
        let path = format!("/v1/admin/policy/rollout/watch?tenant_id={TENANT}");
        let mut lines = server.admin().header("accept", "application/x-ndjson").stream(&path).await;
        // The state of each gateway, and then the rest.
        let (states, _) = until(&mut lines, |event| event["type"] == "bookmark").await;
        let known: BTreeSet<_> = states.iter().map(|event| event["gateway"]["gateway_id"].as_str().unwrap()).collect();
        assert_eq!(known, fleet.ids.iter().map(String::as_str).collect());
        assert!(states.iter().all(|event| event["type"] == "state" && event["gateway"]["wanted"] == first), "{states:?}");

        // A client that reads nothing meanwhile gets the newest states: fewer than there were.
        let mut last = first;
        for routes in 2..8 {
            last = publisher.publish(Selected::Stable, routes).await.unwrap().0;
            applied(&fleet, &all, last).await;
        }
        let mut done = BTreeSet::new();
        let mut count = 0;
        while done.len() < GATEWAYS {
            let event = lines.json().await.unwrap();
            let gateway = &event["gateway"];
            count += 1;
            if gateway["acknowledged"] == last {
                assert_eq!((&gateway["wanted"], &gateway["lag_seconds"]), (&json!(last), &json!(0)), "{event}");
                done.insert(gateway["gateway_id"].as_str().unwrap().to_owned());
            }
        }
        assert!(count < 6 * 2 * GATEWAYS, "{count} states");

        // A gateway that is gone.
        for action in ["revoke", "delete"] {
            let body = json!({"action": action, "tenant_id": TENANT, "gateway_id": fleet.ids[0]});
            admin(&server, "/v1/admin/gateways/lifecycle", body).await;
        }
        let (_, removed) = until(&mut lines, |event| event["type"] == "removed").await;
        assert_eq!(removed["removed_gateway_id"], fleet.ids[0].as_str());

        // Events have their types, and another tenant's administrator gets none.
        let mut events = server.admin().header("accept", "text/event-stream").stream(&path).await;
        let event = events.event().await.unwrap();
        assert!(event.contains(&("event".to_owned(), "state".to_owned())), "{event:?}");
        let other = server.setup().mint(&["--role", "admin", "--tenant", "other"]).await;
        assert_eq!(server.http().token(other).get(&path).await.status, 403);
        server.terminate().await;
        let (_, drain) = until(&mut lines, |event| event["type"] == "drain").await;
        assert!((0..=5000).contains(&drain["reconnect_after_ms"].as_i64().unwrap()), "{drain}");
    }

    async fn a_global_policy_reaches_gateways(db: TestDb) {
        let (server, pool) = serve(&db).await;
        let all = (0..GATEWAYS).collect::<Vec<_>>();
        let fleet = fleet(&server, &pool, &plan(&url(&server)), GATEWAYS).await;
        let global = json!({"channel": "stable", "scope": {"type": "global"}, "policy": {"kill_switch": true}});
        admin(&server, "/v1/admin/policy/publish", global).await;
        applied(&fleet, &all, 1).await;
        super::assert_nothing_refused(&fleet);
    }
}
