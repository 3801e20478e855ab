//! Reports of devices about their policies, and the withdrawal of canaries, on both databases.

use futures::future::join_all;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tenantry::store::tables::{audit_events, outbox};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    conversation::{Who::Admin, http, serve, serve_with},
    enrolled::{BUNDLE, Enrolled, admin, enroll, enroll_with, post},
};
use crate::harness::{http::Answer, server::Server};

const REPORT: &str = "/v1/telemetry/session";
const PUBLISH: &str = "/v1/admin/policy/publish";

fn now() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap()
}

/// A report that a version was refused.
fn refused(version: i64) -> Value {
    json!({"event": "error", "at": now(), "applied_policy": {"version": version, "ok": false, "error": "bad route"}})
}

/// A report that a version was applied.
fn applied(version: i64) -> Value {
    json!({"session_id": "ses_01J7ST8Z0GFCQ9TCATDDY8V7GF", "event": "update", "at": now(),
        "applied_policy": {"version": version, "ok": true}})
}

async fn report(server: &Server, device: &Enrolled, report: Value) -> Answer {
    device.post(server, REPORT, report).await
}

async fn accepted(server: &Server, device: &Enrolled, body: Value) {
    let answer = report(server, device, body).await;
    assert_eq!((answer.status, answer.body.as_str()), (202, ""), "{answer:?}");
}

async fn version(server: &Server, number: i64) -> Value {
    http(server, Admin).await.get(&format!("/v1/admin/policy/versions/{number}")).await.json()["version"].clone()
}

async fn publish(server: &Server, body: Value) -> i64 {
    admin(server, PUBLISH, body).await["version"].as_i64().unwrap()
}

/// Devices that enrolled with one token.
async fn devices(server: &Server, number: usize) -> Vec<Enrolled> {
    let token = admin(server, "/v1/admin/tokens/generate", json!({"max_uses": number})).await;
    let token = token["token"].as_str().unwrap();
    join_all((0..number).map(|_| enroll_with(server, token, "device"))).await
}

/// The place of a device among 100, as the contract defines it.
fn bucket(device: &Enrolled) -> u32 {
    let digest = Sha256::digest(&device.id);
    u32::from_be_bytes(digest[..4].try_into().unwrap()) % 100
}

/// A percentage near 10 that selects about ten of these devices, and not twenty.
fn tenth(devices: &[Enrolled]) -> u32 {
    let size = |percent: &u32| devices.iter().filter(|device| bucket(device) < *percent).count();
    let near = (0..10).flat_map(|off| [10 + off, 10 - off]).find(|percent| (8..=15).contains(&size(percent)));
    near.expect("a percentage with about ten devices")
}

both_databases! {
    async fn a_canary_that_a_tenth_of_its_devices_refuses_is_withdrawn(db: TestDb) {
        let server = serve(&db).await;
        let mut devices = devices(&server, 100).await;
        let percent = tenth(&devices);
        devices.sort_by_key(bucket);
        let others = devices.split_off(devices.iter().filter(|device| bucket(device) < percent).count());
        let mut cohort = devices;
        let stable = publish(&server, json!({"channel": "stable", "policy": {"refresh_seconds": 60}})).await;
        for device in &mut cohort {
            assert_eq!(device.accept(&server).await.0, stable);
        }
        let body = json!({"channel": "canary", "canary": {"percent": percent}, "policy": {"refresh_seconds": 61}});
        let published = admin(&server, PUBLISH, body).await;
        assert_eq!(published["affected_devices"], cohort.len(), "{published}");
        let canary = published["version"].as_i64().unwrap();
        for device in &mut cohort {
            let (version, payload) = device.accept(&server).await;
            assert_eq!((version, &payload["channel"]), (canary, &json!("canary")), "{payload}");
        }
        // Another version, one that does not exist, and a device that does not have the canary.
        accepted(&server, &cohort[0], refused(stable)).await;
        let unknown = report(&server, &cohort[0], refused(99)).await;
        assert_eq!((unknown.status, &unknown.json()["fields"]["applied_policy.version"]), (422, &json!("the tenant has no policy with this version")));
        accepted(&server, &others[0], refused(canary)).await;
        join_all(cohort[1..].iter().map(|device| accepted(&server, device, applied(canary)))).await;
        assert_eq!(version(&server, canary).await["state"], "active");
        accepted(&server, &cohort[0], refused(canary)).await;
        // The response comes after the withdrawal.
        assert_eq!(version(&server, canary).await["state"], "withdrawn");
        let events = audit_events::Entity::find().filter(audit_events::Column::Action.eq("policy.canary.aborted"));
        let events = events.all(db.read()).await.unwrap();
        let details: Value = serde_json::from_str(&events[0].details).unwrap();
        assert_eq!((events.len(), &details["refused"], &details["reported"]), (1, &json!(1), &json!(cohort.len())), "{details}");
        let rows = outbox::Entity::find().filter(outbox::Column::Topic.eq("policy")).all(db.read()).await.unwrap();
        assert!(rows.iter().any(|row| row.payload == format!(r#"{{"change":"updated","version":{canary}}}"#)));
        // Back to the stable content, under a version above all that they had.
        let back = canary + 1;
        for device in &mut cohort {
            let (version, payload) = device.accept(&server).await;
            assert_eq!((version, &payload["channel"], &payload["refresh_seconds"]), (back, &json!("stable"), &json!(60)));
        }
        let next = publish(&server, json!({"channel": "stable", "policy": {"refresh_seconds": 62}})).await;
        assert!(back < next, "{back} {next}");
        assert_eq!(cohort[0].accept(&server).await.0, next);
        // A late report about it withdraws nothing again.
        accepted(&server, &cohort[1], refused(canary)).await;
        assert_eq!(version(&server, next).await["state"], "active");
    }

    async fn a_canary_needs_enough_reports(db: TestDb) {
        let server = serve_with(&db, &[("TENANTRY_CANARY_MIN_REPORTS", "3")]).await;
        let mut devices = devices(&server, 3).await;
        publish(&server, json!({"channel": "stable", "policy": {}})).await;
        let canary = json!({"channel": "canary", "canary": {"percent": 100}, "policy": {"kill_switch": true}});
        let canary = publish(&server, canary).await;
        for device in &mut devices {
            device.accept(&server).await;
        }
        // One device counts once, with its last verdict.
        for body in [refused(canary), refused(canary), applied(canary), refused(canary)] {
            accepted(&server, &devices[0], body).await;
        }
        accepted(&server, &devices[1], applied(canary)).await;
        assert_eq!(version(&server, canary).await["state"], "active");
        accepted(&server, &devices[2], applied(canary)).await;
        assert_eq!(version(&server, canary).await["state"], "withdrawn");
    }

    async fn reports_of_many_devices_are_counted_exactly(db: TestDb) {
        let server = serve_with(&db, &[("TENANTRY_CANARY_MIN_REPORTS", "1000")]).await;
        let mut devices = devices(&server, 30).await;
        publish(&server, json!({"channel": "stable", "policy": {}})).await;
        let canary = json!({"channel": "canary", "canary": {"percent": 100}, "policy": {"kill_switch": true}});
        let canary = publish(&server, canary).await;
        for device in &mut devices {
            device.accept(&server).await;
        }
        let verdict = |at: usize| if at.is_multiple_of(3) { refused(canary) } else { applied(canary) };
        let twice = devices.iter().enumerate().flat_map(|(at, device)| [(at, device), (at, device)]);
        join_all(twice.map(|(at, device)| accepted(&server, device, verdict(at)))).await;
        use sea_orm::{ConnectionTrait, Statement};
        let query = format!("SELECT reported, refused FROM policies WHERE version = {canary}");
        let row = db.read().query_one_raw(Statement::from_string(db.read().get_database_backend(), query)).await;
        let row = row.unwrap().unwrap();
        let count = |column: &str| row.try_get::<i64>("", column).unwrap();
        assert_eq!((count("reported"), count("refused")), (30, 10));
        assert_eq!(version(&server, canary).await["state"], "active");
    }

    async fn a_device_that_leaves_a_canary_gets_a_higher_version(db: TestDb) {
        let server = serve(&db).await;
        let mut one = enroll(&server, json!({}), "device").await;
        let mut two = enroll(&server, json!({}), "device").await;
        publish(&server, json!({"channel": "stable", "policy": {"refresh_seconds": 60}})).await;
        let canary = |device: &Enrolled| json!({"channel": "canary", "canary": {"device_ids": [device.id]},
            "policy": {"refresh_seconds": 61}});
        let first = publish(&server, canary(&one)).await;
        assert_eq!(one.accept(&server).await.0, first);
        // Another canary replaces it: the stable content, under a number that the device did not see with other content.
        let second = publish(&server, canary(&two)).await;
        let (version, payload) = one.accept(&server).await;
        assert_eq!((version, &payload["refresh_seconds"]), (second, &json!(60)), "{payload}");
        assert_eq!(two.accept(&server).await.1["refresh_seconds"], 61);
        // A refusal of the first one says nothing about the second.
        accepted(&server, &one, refused(first)).await;
        assert_eq!(self::version(&server, second).await["state"], "active");
        // Below a section of the device itself, nothing of the canary reaches it: its refusal has another cause.
        let own = json!({"channel": "stable", "scope": {"type": "device", "id": two.id}, "policy": {"refresh_seconds": 62}});
        publish(&server, own).await;
        let version = two.accept(&server).await.0;
        accepted(&server, &two, refused(version)).await;
        assert_eq!(self::version(&server, second).await["state"], "active");
    }

    async fn a_withdrawal_is_above_later_versions_of_other_scopes(db: TestDb) {
        let server = serve(&db).await;
        let group = json!({"action": "create", "name": "Ops", "user_ids": ["ada"]});
        let group = admin(&server, "/v1/admin/groups/lifecycle", group).await["group"]["id"].clone();
        let mut device = enroll(&server, json!({"user_id": "ada"}), "device").await;
        publish(&server, json!({"channel": "stable", "policy": {"refresh_seconds": 60}})).await;
        let canary = json!({"channel": "canary", "canary": {"percent": 100}, "policy": {"refresh_seconds": 61}});
        let canary = publish(&server, canary).await;
        device.accept(&server).await;
        let of_group = json!({"channel": "stable", "scope": {"type": "group", "id": group}, "policy": {"kill_switch": true}});
        let seen = publish(&server, of_group).await;
        let (version, payload) = device.accept(&server).await;
        assert_eq!((version, &payload["refresh_seconds"]), (seen, &json!(61)), "{payload}");
        accepted(&server, &device, refused(seen)).await;
        assert_eq!(self::version(&server, canary).await["state"], "withdrawn");
        let (version, payload) = device.accept(&server).await;
        assert!(version > seen, "{payload}");
        assert_eq!((&payload["refresh_seconds"], &payload["policy"]["kill_switch"]), (&json!(60), &json!(true)));
    }

    async fn what_a_device_reports_is_shown(db: TestDb) {
        let server = serve(&db).await;
        let mut device = enroll(&server, json!({}), "device").await;
        let version = publish(&server, json!({"channel": "stable", "policy": {}})).await;
        let shown = async || http(&server, Admin).await.get("/v1/admin/devices").await.json()["devices"][0].clone();
        assert_eq!(shown().await["policy"], Value::Null);
        device.accept(&server).await;
        let digest = device.get(&server, BUNDLE).await.header("etag").unwrap().trim_matches('"').to_owned();
        let mut body = applied(version);
        for (name, value) in [("rtt_ms", json!(12.5)), ("loss", json!(0.25)), ("path_changes", json!(2)),
            ("bytes_in", json!(3)), ("bytes_out", json!(4)), ("client_version", json!("2.0.0"))] {
            body[name] = value;
        }
        accepted(&server, &device, body.clone()).await;
        let found = shown().await;
        assert_eq!(found["policy"], json!({"version": version, "digest": digest, "channel": "stable"}));
        let last = &found["last_report"];
        assert_eq!((&last["rtt_ms"], &last["loss"], &last["bytes_out"]), (&json!(12.5), &json!(0.25), &json!(4)), "{last}");
        assert_eq!((&last["session_id"], &last["event"]), (&body["session_id"], &json!("update")));
        assert_eq!((&found["client_version"], &found["version"]), (&json!("2.0.0"), &json!(1)));
        // A refused version leaves the one before; a report that comes late changes nothing.
        let next = publish(&server, json!({"channel": "stable", "policy": {"kill_switch": true}})).await;
        accepted(&server, &device, refused(next)).await;
        accepted(&server, &device, body).await;
        let found = shown().await;
        assert_eq!((&found["policy"]["version"], &found["last_report"]["event"]), (&json!(version), &json!("error")));
    }

    async fn reports_are_checked(db: TestDb) {
        let server = serve(&db).await;
        let device = enroll(&server, json!({"user_id": "ada"}), "device").await;
        publish(&server, json!({"channel": "stable", "policy": {}})).await;
        let with = |name: &str, value: Value| {
            let mut body = applied(1);
            body[name] = value;
            body
        };
        let old = (OffsetDateTime::now_utc() - Duration::hours(25)).format(&Rfc3339).unwrap();
        for (name, value, status) in [
            ("event", json!("pause"), 422),
            ("event", Value::Null, 422),
            ("at", json!(old), 422),
            ("at", Value::Null, 422),
            ("at", json!("now"), 400),
            ("session_id", Value::Null, 422),
            ("session_id", json!("ses_1"), 422),
            ("loss", json!(2), 422),
            ("bytes_in", json!(-1), 422),
            ("destination", json!("10.0.0.1"), 400),
            ("dns_name", json!("corp.example"), 400),
            ("applied_policy", json!({"version": 0, "ok": true}), 422),
            ("applied_policy", json!({"version": 1, "ok": true, "error": "x"}), 422),
            ("applied_policy", json!({"version": 1, "ok": true, "route": "x"}), 400),
            ("client_version", json!("x".repeat(65)), 422),
        ] {
            let answer = report(&server, &device, with(name, value.clone())).await;
            assert_eq!(answer.status, status, "{name} {value}: {answer:?}");
        }
        let pool = admin(&server, "/v1/admin/settings/gateway-pools", json!({"action": "create", "name": "eu"})).await;
        let gateway = enroll(&server, json!({"kind": "gateway", "pool_id": pool["pool"]["id"]}), "gateway").await;
        assert_eq!(report(&server, &gateway, applied(1)).await.status, 403);
        assert_eq!(post(&http(&server, Admin).await, REPORT, applied(1)).await.status, 403);
        assert_eq!(post(&server.http(), REPORT, applied(1)).await.status, 401);
        admin(&server, "/v1/admin/users/suspend", json!({"user_id": "ada"})).await;
        assert_eq!(report(&server, &device, applied(1)).await.status, 401);
    }
}
