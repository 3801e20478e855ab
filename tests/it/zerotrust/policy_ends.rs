//! Policies whose time is over, and canaries that end, on both databases.

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    conversation::{Who::Admin, http, serve},
    enrolled::{BUNDLE, Enrolled, admin, enroll},
};
use crate::{
    db::TestDb,
    harness::{eventually, http::Answer, server::Server},
    rows::{audited, sql},
};

const PUBLISH: &str = "/v1/admin/policy/publish";
/// When the policies of a test end, after it has set it.
const LEFT: Duration = Duration::from_secs(3);
/// The time in which an end must be noticed.
const SOON: Duration = Duration::from_secs(6);

async fn publish(server: &Server, body: Value) -> i64 {
    admin(server, PUBLISH, body).await["version"].as_i64().unwrap()
}

/// Lets a version end, before its bundle is signed or after.
async fn ends(db: &TestDb, version: i64) -> Instant {
    let end = (OffsetDateTime::now_utc() + LEFT).unix_timestamp_nanos() / 1000;
    for table in ["policies", "policy_bundles"] {
        sql(db, format!("UPDATE {table} SET expires_at = {end} WHERE version = {version}")).await.unwrap();
    }
    Instant::now() + LEFT
}

async fn state(server: &Server, version: i64) -> Value {
    let path = format!("/v1/admin/policy/versions/{version}");
    http(server, Admin).await.get(&path).await.json()["version"]["state"].clone()
}

/// Waits for another policy than that of this answer.
async fn waited(server: &Server, device: &Enrolled, known: &Answer) -> Answer {
    let path = format!("{BUNDLE}?wait=55");
    device.http(server, "GET", &path).header("if-none-match", known.header("etag").unwrap()).get(&path).await
}

both_databases! {
    async fn a_canary_whose_time_is_over_is_followed_by_the_stable_policy(db: TestDb) {
        let server = serve(&db).await;
        let mut device = enroll(&server, json!({}), "device").await;
        publish(&server, json!({"channel": "stable", "policy": {"refresh_seconds": 60}})).await;
        let canary = json!({"channel": "canary", "canary": {"percent": 100}, "policy": {"refresh_seconds": 61}});
        let canary = publish(&server, canary).await;
        // Another scope has a later version, which the device has seen as well.
        let own = json!({"channel": "stable", "scope": {"type": "device", "id": device.id}, "policy": {"kill_switch": true}});
        let seen = publish(&server, own).await;
        let end = ends(&db, canary).await;
        let (version, payload) = device.accept(&server).await;
        assert_eq!((version, &payload["channel"], &payload["refresh_seconds"]), (seen, &json!("canary"), &json!(61)));
        let watch = format!("{BUNDLE}/watch");
        let mut lines = device.http(&server, "GET", &watch).header("accept", "application/x-ndjson").stream(&watch).await;
        assert_eq!(lines.json().await.unwrap()["version"], seen);

        let known = device.get(&server, BUNDLE).await;
        let followed = waited(&server, &device, &known).await;
        assert!(Instant::now() < end + SOON, "the waiting call is woken: {followed:?}");
        let payload = device.verify(bundle_verify::Kind::Policy, &followed);
        assert_eq!((&payload["channel"], &payload["refresh_seconds"]), (&json!("stable"), &json!(60)), "{payload}");
        assert!(payload["version"].as_i64().unwrap() > seen, "{payload}");
        let event = lines.json().await.unwrap();
        assert!(Instant::now() < end + SOON, "the watch is woken: {event}");
        assert_eq!(event["version"], payload["version"]);
        assert_eq!(state(&server, canary).await, "expired");
        assert_eq!(audited(&db, "policy.canary.expired").await, 1);
        // It is not withdrawn as well, and another canary may follow.
        let next = json!({"channel": "canary", "canary": {"percent": 100}, "policy": {"refresh_seconds": 62}});
        let next = publish(&server, next).await;
        assert!(payload["version"].as_i64().unwrap() < next);
        assert_eq!(device.accept(&server).await.0, next);
    }

    async fn a_stable_policy_whose_time_is_over_is_withheld(db: TestDb) {
        let server = serve(&db).await;
        let mut device = enroll(&server, json!({}), "device").await;
        // The wider policy would allow more: it does not take its place.
        publish(&server, json!({"channel": "stable", "policy": {"default_access": "allow"}})).await;
        let own = json!({"channel": "stable", "scope": {"type": "device", "id": device.id}, "policy": {"default_access": "deny"}});
        let own = publish(&server, own).await;
        let end = ends(&db, own).await;
        device.accept(&server).await;
        let watch = format!("{BUNDLE}/watch");
        let mut lines = device.http(&server, "GET", &watch).header("accept", "application/x-ndjson").stream(&watch).await;
        assert_eq!(lines.json().await.unwrap()["version"], own);
        let known = device.get(&server, BUNDLE).await;
        let answer = waited(&server, &device, &known).await;
        assert!(Instant::now() < end + SOON, "{answer:?}");
        assert_eq!((answer.status, &answer.json()["error"]), (404, &json!("not_found")), "{answer:?}");
        assert_eq!(lines.json().await.unwrap()["error"], "not_found", "the watch ends");
        assert!(Instant::now() < end + SOON);
        assert_eq!(device.get(&server, BUNDLE).await.status, 404);
        assert_eq!(state(&server, own).await, "active");
        // A new version of its scope is used again.
        let again = json!({"channel": "stable", "from_version": own});
        let again = publish(&server, again).await;
        assert_eq!(device.accept(&server).await.0, again);
    }

    async fn a_canary_with_too_many_refusals_is_withdrawn_after_a_crash(db: TestDb) {
        let server = serve(&db).await;
        publish(&server, json!({"channel": "stable", "policy": {}})).await;
        let canary = json!({"channel": "canary", "canary": {"percent": 10}, "policy": {"kill_switch": true}});
        let canary = publish(&server, canary).await;
        // Counted, and not withdrawn: a server ended in between.
        let counted = |refused: i64| format!("UPDATE policies SET reported = 20, refused = {refused} WHERE version = {canary}");
        sql(&db, counted(1)).await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(state(&server, canary).await, "active", "5 % are not too many");
        sql(&db, counted(2)).await.unwrap();
        eventually("the withdrawal", async || (state(&server, canary).await == "withdrawn").then_some(())).await;
        assert_eq!(audited(&db, "policy.canary.aborted").await, 1);
    }

    async fn at_the_same_version_a_bundle_is_issued_after_all_others(db: TestDb) {
        let server = serve(&db).await;
        let one = enroll(&server, json!({}), "device").await;
        let mut two = enroll(&server, json!({}), "device").await;
        publish(&server, json!({"channel": "stable", "policy": {}})).await;
        let own = json!({"channel": "stable", "scope": {"type": "device", "id": two.id}, "policy": {"kill_switch": true}});
        publish(&server, own).await;
        two.accept(&server).await;
        sql(&db, "UPDATE devices SET policy_floor = 9".to_owned()).await.unwrap();
        assert_eq!(two.accept(&server).await.0, 9);
        // The clock of the server that issued it was an hour ahead.
        sql(&db, "UPDATE policy_bundles SET issued_at = issued_at + 3600000000 WHERE version = 9".to_owned()).await.unwrap();
        let payload = STANDARD.decode(one.get(&server, BUNDLE).await.json()["payload"].as_str().unwrap()).unwrap();
        let payload: Value = serde_json::from_slice(&payload).unwrap();
        let issued = OffsetDateTime::parse(payload["issued_at"].as_str().unwrap(), &Rfc3339).unwrap();
        assert_eq!(payload["version"], 9);
        assert!(issued > OffsetDateTime::now_utc() + time::Duration::minutes(59), "{payload}");
    }
}
