//! Calls that wait for another policy, on both databases.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{
    conversation::{serve, serve_with},
    enrolled::{BUNDLE, Enrolled, admin, enroll},
};
use crate::harness::{eventually, http::Answer, server::Server};

const PUBLISH: &str = "/v1/admin/policy/publish";
const DIGEST: &str = "/v1/policy/digest";
/// The time in which a change must arrive.
const SOON: Duration = Duration::from_secs(10);

async fn publish(server: &Server, policy: Value) {
    admin(server, PUBLISH, json!({"channel": "stable", "policy": policy})).await;
}

/// A device, and the entity tag of its policy.
async fn ready(server: &Server, token: Value) -> (Enrolled, String) {
    publish(server, json!({})).await;
    let mut device = enroll(server, token, "device").await;
    device.accept(server).await;
    let tag = device.get(server, BUNDLE).await.header("etag").unwrap().to_owned();
    (device, tag)
}

/// Gets a path with this tag, and the time that it took.
async fn timed(server: &Server, device: &Enrolled, path: &str, tag: &str) -> (Answer, Duration) {
    let (http, started) = (device.http(server, "GET", path).header("if-none-match", tag), Instant::now());
    let answer = http.get(path).await;
    (answer, started.elapsed())
}

/// Gets the policy with a long wait, while something changes it.
async fn woken(server: &Server, device: &Enrolled, tag: &str, change: impl Future<Output = ()>) -> Answer {
    let path = format!("{BUNDLE}?wait=55");
    let changed = async {
        // If it does not wait yet, it finds the change itself.
        server.until_in_flight(1).await;
        change.await;
    };
    let ((answer, took), ()) = tokio::join!(timed(server, device, &path, tag), changed);
    assert!(took < SOON, "{took:?}: {answer:?}");
    answer
}

both_databases! {
    async fn a_call_waits_for_another_policy(db: TestDb) {
        let server = serve(&db).await;
        let (mut device, tag) = ready(&server, json!({"user_id": "ada"})).await;
        for path in [BUNDLE, DIGEST] {
            let (answer, took) = timed(&server, &device, &format!("{path}?wait=1"), &tag).await;
            assert!(answer.status == 304 && took >= Duration::from_secs(1), "{took:?} {answer:?}");
            // It has another one, or does not wait.
            let (answer, took) = timed(&server, &device, &format!("{path}?wait=55"), "\"sha256:00\"").await;
            assert!(answer.status == 200 && took < SOON, "{took:?} {answer:?}");
            assert_eq!(timed(&server, &device, path, &tag).await.0.status, 304);
            let (refused, _) = timed(&server, &device, &format!("{path}?wait=56"), &tag).await;
            assert_eq!((refused.status, refused.json()["fields"]["wait"].is_string()), (422, true));
        }
        let answer = woken(&server, &device, &tag, publish(&server, json!({"refresh_seconds": 60}))).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        device.verify(bundle_verify::Kind::Policy, &answer);
        // Its user joins a group with a policy.
        let group = json!({"action": "create", "name": "Ops"});
        let group = admin(&server, "/v1/admin/groups/lifecycle", group).await["group"]["id"].clone();
        let of_group = json!({"channel": "stable", "scope": {"type": "group", "id": group}, "policy": {"kill_switch": true}});
        admin(&server, PUBLISH, of_group).await;
        let join = json!({"action": "add_members", "group_id": group, "user_ids": ["ada"]});
        let change = async { drop(admin(&server, "/v1/admin/groups/lifecycle", join).await) };
        let answer = woken(&server, &device, answer.header("etag").unwrap(), change).await;
        assert_eq!(device.verify(bundle_verify::Kind::Policy, &answer)["policy"]["kill_switch"], true);
    }

    async fn a_withdrawn_canary_reaches_waiting_devices_within_two_seconds(db: TestDb) {
        let server = serve(&db).await;
        let (mut device, _) = ready(&server, json!({})).await;
        admin(&server, PUBLISH, json!({"channel": "canary", "canary": {"percent": 100}, "policy": {"kill_switch": true}})).await;
        let (version, _) = device.accept(&server).await;
        let tag = device.get(&server, BUNDLE).await.header("etag").unwrap().to_owned();
        let now = time::OffsetDateTime::now_utc().format(&time::format_description::well_known::Rfc3339).unwrap();
        let refusal = json!({"event": "error", "at": now, "applied_policy": {"version": version, "ok": false}});
        let refused = std::sync::Mutex::new(None);
        let answer = woken(&server, &device, &tag, async {
            *refused.lock().unwrap() = Some(Instant::now());
            assert_eq!(device.post(&server, "/v1/telemetry/session", refusal).await.status, 202);
        })
        .await;
        let took = refused.into_inner().unwrap().unwrap().elapsed();
        assert!(took < Duration::from_secs(2), "{took:?}");
        let payload = device.verify(bundle_verify::Kind::Policy, &answer);
        assert_eq!((&payload["channel"], payload["version"].as_i64() > Some(version)), (&json!("stable"), true), "{payload}");
    }

    async fn a_waiting_call_is_exempt_from_limits(db: TestDb) {
        let limits = [("TENANTRY_REQUEST_TIMEOUT", "2s"), ("TENANTRY_MAX_IN_FLIGHT", "1")];
        let server = serve_with(&db, &limits).await;
        let (device, tag) = ready(&server, json!({})).await;
        let waiting = timed(&server, &device, "/v1/policy/bundle?wait=4", &tag);
        let others = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            // It does not occupy the only slot.
            assert_eq!(device.get(&server, DIGEST).await.status, 200);
        };
        let ((answer, took), ()) = tokio::join!(waiting, others);
        assert!(answer.status == 304 && took >= Duration::from_secs(4), "{took:?} {answer:?}");
        // The time that the client gives is a limit nevertheless.
        let path = "/v1/policy/bundle?wait=55";
        let http = device.http(&server, "GET", path).header("if-none-match", &tag).header("x-server-timeout", "1");
        assert_eq!(http.get(path).await.status, 504);
    }

    async fn a_waiting_call_ends_with_the_rights_of_its_caller_and_with_the_server(db: TestDb) {
        let mut server = serve(&db).await;
        let (device, tag) = ready(&server, json!({})).await;
        let other = enroll(&server, json!({}), "device").await;
        let revoke = json!({"action": "revoke", "device_id": device.id});
        let change = async { drop(admin(&server, "/v1/admin/devices/lifecycle", revoke).await) };
        let answer = woken(&server, &device, &tag, change).await;
        assert_eq!(answer.status, 401, "{answer:?}");
        let answer = woken(&server, &other, &tag, server.terminate()).await;
        assert_eq!(answer.status, 304, "{answer:?}");
        eventually("the server to end", async || Some(server.ended().await)).await;
    }
}
