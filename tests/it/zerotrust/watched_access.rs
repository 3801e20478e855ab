//! Watches of the revocations, the manifest and the directory of gateways, over REST and with every event verified, on both databases.

use std::time::{Duration, Instant};

use bundle_verify::{Kind, Shelf};
use serde_json::{Value, json};

use super::{
    conversation::{
        Who::{Admin, Other, User},
        http, serve_with,
    },
    enrolled::{Enrolled, admin, enroll},
    spc_gateway::{self, BUNDLE, LIFECYCLE, PUBLISH, World, now, pool, text},
};
use crate::harness::{PATIENCE, server::Server, stream::Stream};

const MANIFEST: &str = "/v1/gateway/runtime/auth-material-manifest";
const DIRECTORY: &str = "/v1/gateway/pools";
/// The time in which a change must arrive.
const SOON: Duration = Duration::from_secs(10);

/// Opens a watch as a device or gateway. `more` is the query.
async fn watch(server: &Server, who: &Enrolled, path: &str, more: &str) -> Stream {
    let path = format!("{path}/watch{more}");
    who.http(server, "GET", &path).header("accept", "application/x-ndjson").stream(&path).await
}

/// The next event, which must be of this type.
async fn next(events: &mut Stream, kind: &str) -> Value {
    let event = tokio::time::timeout(SOON, events.json()).await.expect("an event").expect("no end");
    assert_eq!(event["type"], kind, "{event}");
    event
}

/// The payload of a state, which a shelf accepts.
fn accepted(shelf: &mut Shelf, of: &Enrolled, kind: Kind, event: &Value) -> Value {
    let envelope = event["envelope"].to_string();
    let accepted = shelf.accept(&of.anchors, kind, envelope.as_bytes(), now()).unwrap();
    assert_eq!(event["version"], json!(accepted.version), "{event}");
    serde_json::from_slice(&accepted.payload).unwrap()
}

/// The payload as it was signed.
fn signed(event: &Value) -> Value {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    serde_json::from_slice(&STANDARD.decode(event["envelope"]["payload"].as_str().unwrap()).unwrap()).unwrap()
}

/// Waits for a state that has something.
async fn until(events: &mut Stream, has: impl Fn(&Value) -> bool) -> Value {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        let event = tokio::time::timeout(PATIENCE, events.json()).await.expect("an event").expect("no end");
        if event["type"] == "state" && has(&signed(&event)) {
            return event;
        }
    }
    panic!("no such state");
}

both_databases! {
    async fn devices_and_gateways_watch_revocations(db: TestDb) {
        let world = World::new(&db).await;
        let server = &world.server;
        let (one, two, three) =
            (world.issued(json!({})).await, world.issued(json!({})).await, world.issued(json!({})).await);
        let mut whole = watch(server, &world.gateway, "/v1/gateway/runtime/spc-bundle", "").await;
        let mut of_device = watch(server, &world.device, BUNDLE, "").await;
        let mut deltas = watch(server, &world.gateway, BUNDLE, "?since_sequence=0").await;
        let mut shelves = [Shelf::default(), Shelf::default(), Shelf::default()];
        let mut serials = Vec::new();
        for (round, spc) in [None, Some(&one), Some(&two)].into_iter().enumerate() {
            if let Some(spc) = spc {
                serials.push(spc["serial"].clone());
                world.revoke(json!({"spc_id": spc["spc_id"]})).await;
            }
            for (place, events) in [&mut whole, &mut of_device, &mut deltas].into_iter().enumerate() {
                let event = next(events, "state").await;
                let payload = accepted(&mut shelves[place], &world.gateway, Kind::SpcBundle, &event);
                assert_eq!(payload["revocations"], json!({"serials": serials, "epoch": 1, "full": true}), "{place}");
                let revocations = signed(&event)["revocations"].clone();
                match (place, round) {
                    (2, 1..) => {
                        let last = &serials[serials.len() - 1..];
                        let expected = json!({"serials": last, "epoch": 1, "full": false, "since_sequence": round});
                        assert_eq!(revocations, expected, "only what is new");
                    }
                    _ => assert_eq!(revocations["full"], true, "{place} {round}"),
                }
            }
        }
        // The device whose certificate is not revoked is admitted, as deltas say.
        let connection = bundle_verify::spc::Connection {
            audience: &format!("pool:{}", world.pool),
            proven_key: &spc_gateway::thumbprint(&world.device.key),
            policies: &[world.digest.as_str()],
        };
        let admits = |spc: &Value| {
            bundle_verify::spc::verify(&world.gateway.anchors, &shelves[2], spc["spc"].as_str().unwrap(), &connection, now())
        };
        assert_eq!(admits(&two).unwrap_err(), bundle_verify::Refusal::Revoked);
        assert!(admits(&three).is_ok());
        // A client that was away gets what it missed, and nothing if it has all.
        let mut late = watch(server, &world.device, BUNDLE, "?since_sequence=1").await;
        let event = next(&mut late, "state").await;
        assert_eq!(signed(&event)["revocations"]["serials"], json!(serials));
        assert_eq!((&signed(&event)["revocations"]["since_sequence"], &event["version"]), (&json!(1), &json!(3)));
        let resume = format!("?since_sequence=3&resume={}", event["resume"].as_str().unwrap());
        let mut resumed = watch(server, &world.device, BUNDLE, &resume).await;
        next(&mut resumed, "bookmark").await;
        let mut unknown = watch(server, &world.device, BUNDLE, "?since_sequence=99").await;
        assert_eq!(signed(&next(&mut unknown, "state").await)["revocations"]["full"], true);
        // A mass revocation, at once for the resumed one as well.
        world.revoke(json!({"all": true})).await;
        for events in [&mut deltas, &mut resumed] {
            assert_eq!(signed(&next(events, "state").await)["revocations"]["epoch"], 2);
        }
        // Administrators watch their own tenant.
        let path = format!("{BUNDLE}/watch");
        let mut own = http(server, Admin).await.header("accept", "application/x-ndjson").stream(&path).await;
        next(&mut own, "state").await;
        let others = http(server, Other).await.get(&format!("{path}?tenant_id=acme")).await;
        assert_eq!(others.status, 403, "{others:?}");
        assert_eq!(http(server, User).await.get(&path).await.status, 403);
        assert_eq!(server.http().get(&path).await.status, 401);
        let negative = http(server, Admin).await.get(&format!("{path}?since_sequence=-1")).await;
        assert_eq!((negative.status, negative.json()["fields"]["since_sequence"].is_string()), (422, true), "{negative:?}");
        // The stream of a device ends with its rights.
        admin(server, LIFECYCLE, json!({"action": "revoke", "device_id": world.device.id})).await;
        let ended = tokio::time::timeout(SOON, async { while of_device.json().await.is_some() {} }).await;
        assert!(ended.is_ok());
    }

    async fn a_gateway_watches_its_manifest(db: TestDb) {
        let world = World::new(&db).await;
        let (server, mut shelf) = (&world.server, Shelf::default());
        let mut events = watch(server, &world.gateway, MANIFEST, "").await;
        let mut named = |event: &Value| {
            let payload = accepted(&mut shelf, &world.gateway, Kind::AuthMaterialManifest, event);
            assert_eq!(payload["gateway_id"], json!(world.gateway.id));
            payload
        };
        let first = next(&mut events, "state").await;
        let payload = named(&first);
        let names: Vec<_> = payload["materials"].as_array().unwrap().iter().map(|one| text(&one["name"])).collect();
        assert_eq!(names, ["trust-anchors", "policy-bundle", "deployment-config", "spc-bundle"]);
        let read = world.gateway.get(server, MANIFEST).await;
        assert_eq!(read.header("etag"), Some(format!("\"{}\"", first["resume"].as_str().unwrap()).as_str()));
        let resume = format!("?resume={}", first["resume"].as_str().unwrap());
        next(&mut watch(server, &world.gateway, MANIFEST, &resume).await, "bookmark").await;
        let of = |payload: &Value, name: &str| {
            payload["materials"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap()["version"].as_i64().unwrap()
        };
        // A policy, a revocation, a drain, and a session that has to end.
        let version = admin(server, PUBLISH, json!({"channel": "stable", "policy": {}})).await["version"].as_i64().unwrap();
        named(&until(&mut events, |payload| of(payload, "policy-bundle") == version).await);
        let spc = world.issued(json!({})).await;
        world.revoke(json!({"spc_id": spc["spc_id"]})).await;
        named(&until(&mut events, |payload| of(payload, "spc-bundle") == 2).await);
        let before = of(&payload, "deployment-config");
        let pools = "/v1/admin/settings/gateway-pools";
        admin(server, pools, json!({"action": "update", "pool_id": world.pool, "offline_grace_seconds": 60})).await;
        named(&until(&mut events, |payload| of(payload, "deployment-config") > before).await);
        let question = format!("/v1/gateway/runtime/client-admission-grant?device_id={}&client_key={}&auth_mode=B",
            world.device.id, spc_gateway::thumbprint(&world.device.key));
        let session = world.gateway.get(server, &question).await.json()["session_id"].clone();
        admin(server, "/v1/admin/sessions", json!({"action": "terminate", "session_ids": [session]})).await;
        named(&until(&mut events, |payload| payload["kill_sessions"] == json!([session])).await);
        // It is for gateways alone.
        assert_eq!(world.device.get(server, &format!("{MANIFEST}/watch")).await.status, 403);
        admin(server, "/v1/admin/gateways/lifecycle", json!({"action": "disable", "gateway_id": world.gateway.id})).await;
        let ended = tokio::time::timeout(SOON, async { while events.json().await.is_some() {} }).await;
        assert!(ended.is_ok());
    }

    async fn the_directory_is_watched_and_waited_for(db: TestDb) {
        let server = serve_with(&db, &[("TENANTRY_GATEWAY_HEARTBEAT", "1s")]).await;
        let (eu, us) = (pool(&server, json!({"name": "eu"})).await, pool(&server, json!({"name": "us"})).await);
        admin(&server, PUBLISH, json!({"channel": "stable", "policy": {"gateway_pools": [eu]}})).await;
        let device = enroll(&server, json!({"user_id": "ada"}), "device").await;
        let other = enroll(&server, json!({}), "device").await;
        let gateway = enroll(&server, json!({"kind": "gateway", "pool_id": eu}), "gateway").await;
        gateway.get(&server, DIRECTORY).await;
        let (mut shelf, mut of_gateway) = (Shelf::default(), watch(&server, &gateway, DIRECTORY, "").await);
        let mut events = watch(&server, &device, DIRECTORY, "").await;
        let pools = |payload: &Value| {
            payload["pools"].as_array().unwrap().iter().map(|pool| pool["id"].clone()).collect::<Vec<_>>()
        };
        let lists = |payload: &Value, pool: &str, gateways: usize| {
            let pool = payload["pools"].as_array().unwrap().iter().find(|one| one["id"] == pool);
            pool.is_some_and(|pool| pool["gateways"].as_array().unwrap().len() == gateways)
        };
        let first = next(&mut events, "state").await;
        assert_eq!(pools(&accepted(&mut shelf, &device, Kind::GatewayPools, &first)), [json!(eu)]);
        assert_eq!(pools(&signed(&next(&mut of_gateway, "state").await)), [json!(eu), json!(us)]);
        // The policy, and the groups of a pool.
        admin(&server, PUBLISH, json!({"channel": "stable", "policy": {}})).await;
        until(&mut events, |payload| pools(payload).len() == 2).await;
        let group = admin(&server, "/v1/admin/groups/lifecycle", json!({"action": "create", "name": "Ops"})).await["group"]["id"].clone();
        let body = json!({"action": "update", "pool_id": us, "allowed_group_ids": [group]});
        admin(&server, "/v1/admin/settings/gateway-pools", body).await;
        until(&mut events, |payload| pools(payload).len() == 1).await;
        // A call waits for the same change.
        let tag = device.get(&server, DIRECTORY).await.header("etag").unwrap().to_owned();
        let path = format!("{DIRECTORY}?wait=55");
        let waiting = async {
            let started = Instant::now();
            (device.http(&server, "GET", &path).header("if-none-match", &tag).get(&path).await, started.elapsed())
        };
        let join = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let join = json!({"action": "add_members", "group_id": group, "user_ids": ["ada"]});
            admin(&server, "/v1/admin/groups/lifecycle", join).await;
        };
        let ((answer, took), ()) = tokio::join!(waiting, join);
        assert!(answer.status == 200 && took < SOON, "{took:?} {answer:?}");
        let event = until(&mut events, |payload| pools(payload).len() == 2).await;
        assert_eq!(answer.json(), event["envelope"], "the same bytes");
        let (short, tag) = (format!("{DIRECTORY}?wait=1"), answer.header("etag").unwrap().to_owned());
        let same = device.http(&server, "GET", &short).header("if-none-match", &tag).get(&short).await;
        assert!([200, 304].contains(&same.status), "{same:?}");
        let refused = device.get(&server, &format!("{DIRECTORY}?wait=56")).await;
        assert_eq!((refused.status, refused.json()["fields"]["wait"].is_string()), (422, true), "{refused:?}");
        // A device that is in no group still sees one pool.
        assert_eq!(pools(&signed(&next(&mut watch(&server, &other, DIRECTORY, "").await, "state").await)), [json!(eu)]);
        // A gateway that is no longer heard of is left out, and comes back when it is. It may be left out already.
        let mut events = watch(&server, &device, DIRECTORY, "").await;
        until(&mut events, |payload| lists(payload, &eu, 0)).await;
        let calls = async {
            loop {
                assert_eq!(gateway.get(&server, DIRECTORY).await.status, 200);
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::select! {
            _ = until(&mut events, |payload| lists(payload, &eu, 1)) => {}
            () = calls => {}
        }
    }
}
