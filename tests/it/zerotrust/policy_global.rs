//! Policies for every tenant, on both databases.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures::future::join_all;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    conversation::{
        Who::{self, Admin, Network, Other, Platform},
        http, serve,
    },
    enrolled::{BUNDLE, admin, enroll, post},
};
use crate::harness::{
    eventually,
    http::{Answer, Http},
    server::Server,
};

const PUBLISH: &str = "/v1/admin/policy/publish";
const VERSIONS: &str = "/v1/admin/policy/versions";

async fn called(server: &Server, who: Who, body: Value) -> Answer {
    post(&http(server, who).await, PUBLISH, body).await
}

/// Publishes for every tenant.
async fn publish(server: &Server, channel: Value, content: Value) -> Value {
    let mut body = json!({"channel": "stable", "scope": {"type": "global"}});
    for (name, value) in channel.as_object().unwrap().iter().chain(content.as_object().unwrap()) {
        body[name] = value.clone();
    }
    let answer = called(server, Platform, body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

async fn versions(server: &Server, who: Who) -> Vec<Value> {
    read(&http(server, who).await).await
}

async fn read(http: &Http) -> Vec<Value> {
    http.get(&format!("{VERSIONS}?limit=500")).await.json()["versions"].as_array().unwrap().clone()
}

/// Waits until the newest version of a tenant is the copy of this global one, and returns its number.
async fn copied(server: &Server, who: Who, global: &Value) -> i64 {
    let http = http(server, who).await;
    eventually("the copy of a global policy", async || {
        let all = read(&http).await;
        let copy = all.iter().find(|version| version["bundle_id"] == global["bundle_id"])?;
        Some(copy["version"].as_i64().unwrap())
    })
    .await
}

both_databases! {
    async fn a_global_policy_is_below_that_of_each_tenant(db: TestDb) {
        let server = serve(&db).await;
        let mut device = enroll(&server, json!({}), "device").await;
        let global = json!({"type": "global", "id": null});
        let content = json!({"policy": {"refresh_seconds": 600, "default_access": "allow", "routes": []}});
        let first = publish(&server, json!({}), content).await;
        assert_eq!((&first["version"], &first["scope"], &first["affected_devices"]), (&json!(1), &global, &json!(1)), "{first}");
        assert_eq!(first["key_id"], Value::Null, "each tenant has its own key");
        assert_eq!((copied(&server, Admin, &first).await, copied(&server, Other, &first).await), (1, 1));
        let (version, payload) = device.accept(&server).await;
        assert_eq!((version, &payload["target"]), (1, &json!({"type": "global"})), "{payload}");
        assert_eq!(payload["resolved_from"], json!([{"scope": "global", "policy_id": first["bundle_id"]}]));
        let shown = http(&server, Admin).await.get(&format!("{VERSIONS}/1")).await.json()["version"].clone();
        assert_eq!((&shown["scope"], &shown["policy"]["refresh_seconds"]), (&global, &json!(600)), "{shown}");

        // The tenant has its own: each section comes from the narrowest scope that has it.
        let own = admin(&server, PUBLISH, json!({"channel": "stable", "policy": {"refresh_seconds": 60}, "expected_base_version": 1})).await;
        assert_eq!(own["version"], 2);
        let (version, payload) = device.accept(&server).await;
        assert_eq!((version, &payload["refresh_seconds"], &payload["policy"]["default_access"]), (2, &json!(60), &json!("allow")));
        assert_eq!(payload["resolved_from"].as_array().unwrap().len(), 2, "{payload}");
        let question = json!({"device_id": device.id, "destination": "192.0.2.1", "protocol": "tcp", "port": 443});
        let explained = admin(&server, "/v1/admin/policy/explain", question.clone()).await;
        assert_eq!((&explained["decision"], &explained["scope"], &explained["version"]), (&json!("allow"), &global, &json!(1)), "{explained}");

        // Another one raises the counter of each tenant, and wakes those that wait.
        let known = device.get(&server, BUNDLE).await;
        let path = format!("{BUNDLE}?wait=55");
        let waiting = device.http(&server, "GET", &path).header("if-none-match", known.header("etag").unwrap());
        let began = Instant::now();
        let (answer, second) = tokio::join!(waiting.get(&path), publish(&server, json!({}), json!({"policy": {"default_access": "deny"}})));
        assert!(began.elapsed() < Duration::from_secs(10), "{answer:?}");
        assert_eq!((copied(&server, Admin, &second).await, copied(&server, Other, &second).await), (3, 2));
        let payload = device.verify(bundle_verify::Kind::Policy, &answer);
        assert_eq!((&payload["version"], &payload["refresh_seconds"], &payload["policy"]["default_access"]), (&json!(3), &json!(60), &json!("deny")));
        let stale = called(&server, Admin, json!({"channel": "stable", "policy": {}, "expected_base_version": 2})).await;
        assert_eq!(stale.status, 409, "{stale:?}");

        // A tenant that comes later has the current one alone.
        let create = json!({"action": "create", "slug": "third"});
        let created = post(&server.admin(), "/v1/admin/tenants/lifecycle", create).await;
        assert_eq!(created.status, 201, "{created:?}");
        let of_third = format!("{VERSIONS}?tenant_id=third");
        let found = eventually("the policy of the new tenant", async || {
            let found = server.admin().get(&of_third).await.json()["versions"].as_array().unwrap().clone();
            (!found.is_empty()).then_some(found)
        })
        .await;
        assert_eq!((found.len(), &found[0]["bundle_id"], &found[0]["version"]), (1, &second["bundle_id"], &json!(1)));
        // The platform sees its own versions.
        let all = versions(&server, Platform).await;
        let states: Vec<_> = all.iter().map(|version| (&version["version"], version["state"].as_str().unwrap())).collect();
        assert_eq!(states, [(&json!(1), "superseded"), (&json!(2), "active")]);
        let read = http(&server, Platform).await.get(&format!("{VERSIONS}/1")).await.json();
        assert_eq!(read["version"]["policy"]["refresh_seconds"], 600, "{read}");
        let rolled_back = publish(&server, json!({}), json!({"from_version": 1, "expected_base_version": 2})).await;
        assert_eq!((&rolled_back["version"], &rolled_back["diff"]["changed"]), (&json!(3), &json!(["default_access"])), "{rolled_back}");
        let version = copied(&server, Admin, &rolled_back).await;
        assert_eq!(device.accept(&server).await.0, version);
    }

    async fn only_the_platform_publishes_for_every_tenant(db: TestDb) {
        let server = serve(&db).await;
        let global = |more: Value| {
            let mut body = json!({"channel": "stable", "scope": {"type": "global"}, "policy": {}});
            more.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
            body
        };
        for who in [Admin, Network, Other] {
            let refused = called(&server, who, global(json!({}))).await;
            assert_eq!(refused.status, 403, "{who:?}: {refused:?}");
        }
        let canary = |of: Value| json!({"channel": "canary", "canary": of});
        let pool = json!({"policy": {"gateway_pools": ["pool_01J7ST8Z0GFCQ9TCATDDY8V7GF"]}});
        for (body, field) in [
            (global(json!({"tenant_id": "acme"})), "tenant_id"),
            (global(json!({"scope": {"type": "global", "id": "acme"}})), "scope.id"),
            (global(json!({"priority": 1})), "priority"),
            (global(pool), "policy.gateway_pools"),
            (global(canary(json!({"group_ids": ["grp_01J7ST8Z0GFCQ9TCATDDY8V7GF"]}))), "canary.group_ids"),
            (global(canary(json!({"device_ids": ["dev_01J7ST8Z0GFCQ9TCATDDY8V7GF"]}))), "canary.device_ids"),
            (json!({"channel": "stable", "scope": {"type": "global"}, "from_version": 9}), "from_version"),
        ] {
            let refused = called(&server, Platform, body.clone()).await;
            assert_eq!(refused.status, 422, "{body} {refused:?}");
            assert!(refused.json()["fields"][field].is_string(), "{field}: {refused:?}");
        }
        let stale = called(&server, Platform, global(json!({"expected_base_version": 1}))).await;
        assert_eq!(stale.status, 409, "{stale:?}");
        let dry = called(&server, Platform, global(json!({"dry_run": true}))).await;
        assert_eq!((dry.status, &dry.json()["version"]), (200, &json!(1)), "{dry:?}");
        assert_eq!(versions(&server, Platform).await.len(), 0, "nothing was published");
        let published = publish(&server, json!({}), json!({"policy": {}})).await;
        let copy = copied(&server, Admin, &published).await;
        // The tenant can neither promote nor roll back to it.
        let refused = called(&server, Admin, json!({"channel": "stable", "from_version": copy})).await;
        assert_eq!(refused.status, 403, "{refused:?}");
        assert_eq!(versions(&server, Admin).await.len(), 1);
    }

    async fn a_global_canary_is_withdrawn_where_it_is_refused(db: TestDb) {
        let server = serve(&db).await;
        let mut device = enroll(&server, json!({}), "device").await;
        let stable = publish(&server, json!({}), json!({"policy": {"refresh_seconds": 60}})).await;
        copied(&server, Admin, &stable).await;
        device.accept(&server).await;
        let channel = json!({"channel": "canary", "canary": {"percent": 100}});
        let canary = publish(&server, channel, json!({"policy": {"refresh_seconds": 61}})).await;
        assert_eq!(canary["affected_devices"], 1);
        let copy = copied(&server, Admin, &canary).await;
        copied(&server, Other, &canary).await;
        let (seen, payload) = device.accept(&server).await;
        assert_eq!((seen, &payload["refresh_seconds"]), (copy, &json!(61)), "{payload}");
        let now = OffsetDateTime::now_utc().format(&Rfc3339).unwrap();
        let refusal = json!({"event": "error", "at": now, "applied_policy": {"version": copy, "ok": false}});
        assert_eq!(device.post(&server, "/v1/telemetry/session", refusal).await.status, 202);
        let state = async |who: Who| {
            let all = versions(&server, who).await;
            all.into_iter().find(|version| version["bundle_id"] == canary["bundle_id"]).unwrap()["state"].clone()
        };
        assert_eq!((state(Admin).await, state(Other).await), (json!("withdrawn"), json!("active")));
        let (version, payload) = device.accept(&server).await;
        assert!(version > seen, "{payload}");
        assert_eq!(payload["refresh_seconds"], 60);
        // Promoted: everyone has it.
        let promoted = publish(&server, json!({}), json!({"from_version": canary["version"]})).await;
        copied(&server, Admin, &promoted).await;
        assert_eq!(device.accept(&server).await.1["refresh_seconds"], 61);
        copied(&server, Other, &promoted).await;
        assert_eq!((state(Admin).await, state(Other).await), (json!("withdrawn"), json!("promoted")));
    }

    async fn a_global_policy_reaches_tenants_after_a_crash(db: TestDb) {
        let mut server = serve(&db).await;
        let setup = server.setup().clone();
        let first = publish(&server, json!({}), json!({"policy": {"refresh_seconds": 60}})).await;
        // Right after the commit: the next server continues.
        server.kill().await;
        let server = setup.start().await;
        assert_eq!((copied(&server, Admin, &first).await, copied(&server, Other, &first).await), (1, 1));
    }

    async fn concurrent_publications_of_the_platform_and_of_a_tenant_are_all_numbered(db: TestDb) {
        let server = serve(&db).await;
        let (own, all) = (http(&server, Admin).await, server.admin());
        let publications = (0..8).map(|number| {
            let (own, all) = (&own, &all);
            async move {
                let policy = json!({"refresh_seconds": 60 + number});
                let global = json!({"channel": "stable", "scope": {"type": "global"}, "policy": policy});
                let of_tenant = json!({"channel": "stable", "policy": policy});
                let (one, two) = tokio::join!(post(all, PUBLISH, global), post(own, PUBLISH, of_tenant));
                assert_eq!((one.status, two.status), (201, 201), "{one:?} {two:?}");
                one.json()["version"].as_i64().unwrap()
            }
        });
        let numbers: BTreeSet<_> = join_all(publications).await.into_iter().collect();
        assert_eq!(numbers, (1..=8).collect());
        let newest = versions(&server, Platform).await.into_iter().next_back().unwrap();
        copied(&server, Admin, &newest).await;
        let versions = versions(&server, Admin).await;
        let numbers: BTreeSet<_> = versions.iter().map(|version| version["version"].as_i64().unwrap()).collect();
        assert_eq!(numbers.len(), versions.len());
        for kind in ["global", "tenant"] {
            let active = versions.iter().filter(|version| version["scope"]["type"] == kind && version["state"] == "active");
            assert_eq!(active.count(), 1, "{kind}: {versions:?}");
        }
    }
}
