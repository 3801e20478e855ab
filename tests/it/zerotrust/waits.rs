//! Calls that wait for revocations, trust anchors and gateways, on both databases.

use std::time::{Duration, Instant};

use bundle_verify::{AnchorSet, Kind, Shelf};
use serde_json::json;

use super::{
    conversation::{Who::Admin, http, serve_with},
    enrolled::{admin, enroll},
    spc_gateway::{BUNDLE, LIFECYCLE, PUBLISH, World, now, pool},
};
use crate::harness::{
    PATIENCE,
    http::{Answer, Http},
    server::Server,
};

const ANCHORS: &str = "/v1/trust/anchors";
const ROTATE: &str = "/v1/trust/anchors/rotate";
const KEYS: &str = "/v1/admin/api-keys";
const DIRECTORY: &str = "/v1/gateway/pools";
/// Before a wait of 55 seconds is over.
const SOON: Duration = Duration::from_secs(30);

/// The entity tag of a response.
fn tag(answer: &Answer) -> String {
    assert!([200, 304].contains(&answer.status), "{answer:?}");
    answer.header("etag").unwrap().to_owned()
}

/// A call with this tag, and the time that it took.
async fn timed(http: Http, path: &str, tag: &str) -> (Answer, Duration) {
    let started = Instant::now();
    let answer = http.header("if-none-match", tag).get(path).await;
    (answer, started.elapsed())
}

/// Calls with a long wait, while something changes.
async fn woken(
    server: &Server,
    calls: [Http; 2],
    path: &str,
    tag: &str,
    change: impl Future<Output = ()>,
) -> [Answer; 2] {
    let change = async {
        // If one of them does not wait yet, it finds the change itself.
        server.until_in_flight(2).await;
        change.await;
    };
    let [one, two] = calls;
    let ((one, took), (two, also), ()) = tokio::join!(timed(one, path, tag), timed(two, path, tag), change);
    assert!(took < SOON && also < SOON, "{took:?} {also:?}");
    [one, two]
}

/// What all these calls have in common: they wait only with the tag of the current one, and for at most 55 seconds.
async fn waits(http: &Http, path: &str) -> String {
    let now = tag(&http.get(path).await);
    let join = if path.contains('?') { '&' } else { '?' };
    let (answer, took) = timed(http.clone(), &format!("{path}{join}wait=1"), &now).await;
    assert!(answer.status == 304 && took >= Duration::from_secs(1), "{path}: {took:?} {answer:?}");
    let (answer, took) = timed(http.clone(), &format!("{path}{join}wait=55"), "\"sha256:00\"").await;
    assert!(answer.status == 200 && took < SOON, "{path}: {took:?} {answer:?}");
    for seconds in [-1, 56] {
        let refused = http.get(&format!("{path}{join}wait={seconds}")).await;
        assert_eq!((refused.status, refused.json()["fields"]["wait"].is_string()), (422, true), "{path}: {refused:?}");
    }
    now
}

both_databases! {
    async fn a_call_waits_for_a_revocation(db: TestDb) {
        let mut world = World::new(&db).await;
        let (one, two) = (world.issued(json!({})).await, world.issued(json!({})).await);
        let (server, path) = (&world.server, format!("{BUNDLE}?wait=55"));
        let admins = http(server, Admin).await;
        let known = waits(&admins, BUNDLE).await;
        let calls = [admins.clone(), world.device.http(server, "GET", BUNDLE)];
        let revoke = async { _ = world.revoke(json!({"spc_id": one["spc_id"]})).await };
        let [of_admin, of_device] = woken(server, calls, &path, &known, revoke).await;
        assert_eq!(of_admin.body, of_device.body);
        let payload = world.device.verify(Kind::SpcBundle, &of_device);
        assert_eq!(payload["revocations"]["serials"], json!([one["serial"]]));
        // Only what is new, for one that has the bundle before.
        let (server, since) = (&world.server, format!("{BUNDLE}?since_sequence={}", payload["sequence"]));
        let known = waits(&admins, &since).await;
        let calls = [admins.clone(), world.gateway.http(server, "GET", BUNDLE)];
        let revoke = async { _ = world.revoke(json!({"spc_id": two["spc_id"]})).await };
        let [of_admin, of_gateway] = woken(server, calls, &format!("{since}&wait=55"), &known, revoke).await;
        assert_eq!(of_admin.body, of_gateway.body);
        let mut shelf = world.device.shelf.clone();
        let whole = shelf.accept(&world.device.anchors, Kind::SpcBundle, of_gateway.body.as_bytes(), now()).unwrap();
        let whole: serde_json::Value = serde_json::from_slice(&whole.payload).unwrap();
        assert_eq!(whole["revocations"]["serials"], json!([one["serial"], two["serial"]]));
        // A policy is nothing that it waits for, and a caller that loses its rights waits no longer.
        let known = tag(&admins.get(BUNDLE).await);
        let change = async {
            admin(server, PUBLISH, json!({"channel": "stable", "policy": {}})).await;
            admin(server, LIFECYCLE, json!({"action": "suspend", "device_id": world.device.id})).await;
        };
        let calls = [world.device.http(server, "GET", BUNDLE), world.device.http(server, "GET", BUNDLE)];
        let ended = woken(server, calls, &path, &known, change).await;
        assert_eq!(ended.map(|answer| answer.status), [403, 403]);
    }

    async fn a_call_waits_for_the_next_anchors(db: TestDb) {
        let world = World::new(&db).await;
        let (server, path) = (&world.server, format!("{ANCHORS}?wait=55"));
        let admins = http(server, Admin).await;
        let known = waits(&admins, ANCHORS).await;
        // A set that is named does not change.
        let (named, took) = timed(admins.clone(), &format!("{path}&sequence=1"), &known).await;
        assert!(named.status == 304 && took < SOON, "{took:?} {named:?}");
        let calls = [admins.clone(), world.device.http(server, "GET", ANCHORS)];
        let rotate = json!({"use": "spc-signing", "emergency": true, "reason": "leaked"});
        let rotated = async { drop(admin(server, ROTATE, rotate).await) };
        let [of_admin, of_device] = woken(server, calls, &path, &known, rotated).await;
        assert_eq!(of_admin.body, of_device.body);
        let next: AnchorSet = world.device.anchors.next(of_device.body.as_bytes()).unwrap();
        assert_eq!(next.sequence, 2);
        // A key that is revoked waits no longer.
        let made = admin(server, KEYS, json!({"name": "watcher", "role": "admin"})).await;
        let key = server.http().token(made["api_key"].as_str().unwrap().to_owned());
        let known = tag(&key.get(ANCHORS).await);
        let revoke = async { drop(admin(server, KEYS, json!({"action": "revoke", "key_id": made["key_id"]})).await) };
        let ended = woken(server, [key.clone(), key.clone()], &path, &known, revoke).await;
        assert_eq!(ended.map(|answer| answer.status), [401, 401]);
    }

    async fn a_call_that_waits_sees_gateways_come_and_go(db: TestDb) {
        let server = serve_with(&db, &[("TENANTRY_GATEWAY_HEARTBEAT", "1s")]).await;
        let eu = pool(&server, json!({"name": "eu"})).await;
        admin(&server, PUBLISH, json!({"channel": "stable", "policy": {}})).await;
        let device = enroll(&server, json!({"user_id": "ada"}), "device").await;
        let gateway = enroll(&server, json!({"kind": "gateway", "pool_id": eu}), "gateway").await;
        let path = format!("{DIRECTORY}?wait=55");
        // Waits from one directory to the next, until it lists this number of gateways.
        let until = async |mut known: String, gateways: usize| {
            let (mut shelf, started) = (Shelf::default(), Instant::now());
            loop {
                assert!(started.elapsed() < PATIENCE, "not {gateways} gateways");
                let (answer, took) = timed(device.http(&server, "GET", DIRECTORY), &path, &known).await;
                assert!(answer.status == 200 && took < SOON, "{took:?} {answer:?}");
                let found = shelf.accept(&device.anchors, Kind::GatewayPools, answer.body.as_bytes(), now()).unwrap();
                let payload: serde_json::Value = serde_json::from_slice(&found.payload).unwrap();
                if payload["pools"][0]["gateways"].as_array().unwrap().len() == gateways {
                    return tag(&answer);
                }
                known = tag(&answer);
            }
        };
        assert_eq!(gateway.get(&server, DIRECTORY).await.status, 200);
        // A gateway is online while it calls: several times in its second.
        let online = async || {
            let mut pause = tokio::time::interval(Duration::from_millis(200));
            loop {
                pause.tick().await;
                assert_eq!(gateway.get(&server, DIRECTORY).await.status, 200);
            }
        };
        let known = tokio::select! {
            known = until("\"sha256:00\"".to_owned(), 1) => known,
            () = online() => unreachable!(),
        };
        // Nothing is recorded when it is no longer heard of.
        let known = until(known, 0).await;
        let back = async {
            server.until_in_flight(1).await;
            online().await;
        };
        tokio::select! {
            _ = until(known, 1) => {}
            () = back => unreachable!(),
        }
    }
}
