//! The signed policy of a device, with real credentials and every signature verified, on both databases.

use bundle_verify::{KeyUse, Kind};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{
    conversation::{
        Who::{Admin, Platform},
        http, serve,
    },
    enrolled::{BUNDLE, ENROLL, Enrolled, admin, enroll, post},
};
use crate::{
    harness::{enroll::DpopKey, eventually, server::Server},
    rows::sql,
};

const DIGEST: &str = "/v1/policy/digest";
const ANCHORS: &str = "/v1/trust/anchors";

async fn publish(server: &Server, scope: Value, policy: Value) -> i64 {
    let body = json!({"channel": "stable", "scope": scope, "policy": policy});
    admin(server, "/v1/admin/policy/publish", body).await["version"].as_i64().unwrap()
}

both_databases! {
    async fn a_device_gets_its_policy_and_every_later_one_under_a_higher_version(db: TestDb) {
        let server = serve(&db).await;
        let mut device = enroll(&server, json!({"user_id": "ada"}), "device").await;
        assert_eq!(device.get(&server, BUNDLE).await.status, 404, "nothing is published");
        publish(&server, json!({}), json!({"tunnel_mode": "split"})).await;
        let (first, payload) = device.accept(&server).await;
        assert_eq!((first, &payload["policy"]["tunnel_mode"]), (1, &json!("split")), "{payload}");
        assert_eq!(payload["policy"]["default_access"], "deny", "{payload}");
        // A group that the user is not in.
        let group = admin(&server, "/v1/admin/groups/lifecycle", json!({"action": "create", "name": "Ops"})).await;
        let group = group["group"]["id"].as_str().unwrap().to_owned();
        publish(&server, json!({"type": "group", "id": group}), json!({"kill_switch": true})).await;
        assert_eq!(device.accept(&server).await.0, 1);
        // The user joins it, and leaves it again: the content before, under a higher version.
        let members = |action: &str| json!({"action": action, "group_id": group, "user_ids": ["ada"]});
        admin(&server, "/v1/admin/groups/lifecycle", members("add_members")).await;
        let (joined, payload) = device.accept(&server).await;
        assert_eq!((&payload["policy"]["kill_switch"], &payload["target"]["type"]), (&json!(true), &json!("group")));
        admin(&server, "/v1/admin/groups/lifecycle", members("remove_members")).await;
        let (left, payload) = device.accept(&server).await;
        assert!(first < joined && joined < left, "{first} {joined} {left}");
        assert_eq!(payload["policy"]["kill_switch"], false, "{payload}");
        // The next publication is above all of them.
        let next = publish(&server, json!({}), json!({"tunnel_mode": "full"})).await;
        assert!(left < next, "{left} {next}");
        assert_eq!(device.accept(&server).await.0, next);
        // The group is deleted while the user is in it.
        admin(&server, "/v1/admin/groups/lifecycle", members("add_members")).await;
        let in_it = device.accept(&server).await.0;
        let delete = json!({"action": "delete", "group_id": group, "force": true});
        admin(&server, "/v1/admin/groups/lifecycle", delete).await;
        assert!(device.accept(&server).await.0 > in_it);
    }

    async fn no_publication_takes_a_device_back_to_an_earlier_version(db: TestDb) {
        let server = serve(&db).await;
        let groups = "/v1/admin/groups/lifecycle";
        let mut created = Vec::new();
        for name in ["A", "B"] {
            let group = admin(&server, groups, json!({"action": "create", "name": name, "user_ids": ["ada"]})).await;
            created.push(group["group"]["id"].clone());
        }
        let (a, b) = (json!({"type": "group", "id": created[0]}), json!({"type": "group", "id": created[1]}));
        let mut device = enroll(&server, json!({"user_id": "ada"}), "device").await;
        let other = enroll(&server, json!({}), "device").await;
        let of_device = json!({"type": "device", "id": device.id});
        let routes = |id: &str| json!({"routes": [{"id": id, "cidr": "10.0.0.0/8", "action": "allow"}]});
        let canary = |id: &str| json!({"channel": "canary", "canary": {"device_ids": [id]}, "policy": {}});
        publish(&server, json!({}), routes("tenant")).await;
        let mut last = device.accept(&server).await.0;
        let steps = [
            // It leaves a canary.
            canary(&device.id),
            canary(&other.id),
            // A section of the tenant that a group hides.
            json!({"channel": "stable", "scope": a, "policy": {"kill_switch": true}}),
            json!({"channel": "stable", "policy": routes("more")}),
            json!({"channel": "stable", "policy": {"kill_switch": false}}),
            // Another group comes first, and then no longer.
            json!({"channel": "stable", "scope": a, "policy": routes("a"), "priority": 100}),
            json!({"channel": "stable", "scope": b, "policy": routes("b"), "priority": 50}),
            json!({"channel": "stable", "scope": b, "policy": routes("b"), "priority": 900}),
            // Its own policy comes, and then gives nothing.
            json!({"channel": "stable", "scope": of_device, "policy": routes("own")}),
            json!({"channel": "stable", "scope": of_device, "policy": {}}),
        ];
        for step in steps {
            admin(&server, "/v1/admin/policy/publish", step.clone()).await;
            let version = device.accept(&server).await.0;
            assert!(version >= last, "{step}: {last} {version}");
            last = version;
        }
    }

    async fn a_publication_during_a_change_of_groups_wins(db: TestDb) {
        let server = serve(&db).await;
        let group = json!({"action": "create", "name": "Ops"});
        let group = admin(&server, "/v1/admin/groups/lifecycle", group).await["group"]["id"].clone();
        let mut device = enroll(&server, json!({"user_id": "ada"}), "device").await;
        publish(&server, json!({}), json!({"refresh_seconds": 60})).await;
        for round in 0..10 {
            let action = if round % 2 == 0 { "add_members" } else { "remove_members" };
            let members = json!({"action": action, "group_id": group, "user_ids": ["ada"]});
            admin(&server, "/v1/admin/groups/lifecycle", members).await;
            let next = json!({"refresh_seconds": 61 + round});
            let (_, early) = tokio::join!(publish(&server, json!({}), next), device.get(&server, BUNDLE));
            let now = OffsetDateTime::now_utc().unix_timestamp();
            device.shelf.accept(&device.anchors, Kind::Policy, early.body.as_bytes(), now).unwrap();
            let (_, payload) = device.accept(&server).await;
            assert_eq!(payload["refresh_seconds"], 61 + round, "{payload}");
        }
    }

    async fn a_credential_before_another_enrollment_is_not_renewed(db: TestDb) {
        let server = serve(&db).await;
        publish(&server, json!({}), json!({})).await;
        let old = enroll(&server, json!({}), "device").await;
        let again = json!({"action": "re_enroll", "device_id": old.id});
        let token = admin(&server, "/v1/admin/devices/lifecycle", again).await["enrollment_token"].clone();
        let token = token.as_str().unwrap();
        let key = DpopKey::generate();
        let body = json!({"token": token, "public_key": key.jwk(), "proof": key.proof_of_token(token, None),
            "device": {"name": "one", "platform": "linux"}});
        let made = post(&server.http(), ENROLL, body).await;
        assert_eq!((made.status, made.json()["device_id"].as_str()), (201, Some(old.id.as_str())), "{made:?}");
        let new = Enrolled { token: made.json()["device_token"].as_str().unwrap().to_owned(), key, ..enroll(&server, json!({}), "device").await };
        assert_eq!(old.get(&server, BUNDLE).await.status, 200, "for a while");
        let renew = |key: &DpopKey| json!({"renew": true, "csr_pem": key.csr()});
        assert_eq!(post(&old.http(&server, "POST", ENROLL), ENROLL, renew(&old.key)).await.status, 401);
        assert_eq!(post(&new.http(&server, "POST", ENROLL), ENROLL, renew(&new.key)).await.status, 201);
    }

    async fn devices_with_one_resolution_share_a_bundle(db: TestDb) {
        let server = serve(&db).await;
        publish(&server, json!({}), json!({"tunnel_mode": "split"})).await;
        let mut one = enroll(&server, json!({}), "device").await;
        let mut two = enroll(&server, json!({}), "device").await;
        let three = enroll(&server, json!({"user_id": "bob"}), "device").await;
        one.accept(&server).await;
        two.accept(&server).await;
        let answers = [one.get(&server, BUNDLE).await, two.get(&server, BUNDLE).await, three.get(&server, BUNDLE).await];
        assert!(answers.iter().all(|answer| answer.body == answers[0].body), "{answers:?}");
        let digest = one.get(&server, DIGEST).await;
        let shown = digest.json();
        assert_eq!((&shown["version"], &shown["channel"]), (&json!(1), &json!("stable")), "{shown}");
        assert_eq!(digest.header("etag"), answers[0].header("etag"));
        assert!(digest.body.len() <= 512, "{digest:?}");
        let fresh = one.http(&server, "GET", BUNDLE).header("if-none-match", answers[0].header("etag").unwrap());
        assert_eq!(fresh.get(BUNDLE).await.status, 304);
    }

    async fn a_publication_says_how_many_devices_it_is_for_and_which_key_signs_it(db: TestDb) {
        let server = serve(&db).await;
        let one = enroll(&server, json!({"user_id": "ada"}), "device").await;
        let two = enroll(&server, json!({}), "device").await;
        let revoked = enroll(&server, json!({}), "device").await;
        admin(&server, "/v1/admin/devices/lifecycle", json!({"action": "revoke", "device_id": revoked.id})).await;
        let group = json!({"action": "create", "name": "Ops", "user_ids": ["ada"]});
        let group = admin(&server, "/v1/admin/groups/lifecycle", group).await["group"]["id"].clone();
        let enrolled = enroll(&server, json!({"group_ids": [group]}), "device").await;
        for (body, affected) in [
            (json!({"channel": "stable"}), 3),
            (json!({"channel": "stable", "scope": {"type": "group", "id": group}}), 2),
            (json!({"channel": "stable", "scope": {"type": "device", "id": two.id}}), 1),
            (json!({"channel": "canary", "canary": {"percent": 100}}), 3),
            (json!({"channel": "canary", "canary": {"device_ids": [two.id, revoked.id]}}), 1),
            (json!({"channel": "canary", "canary": {"group_ids": [group], "device_ids": [two.id]}}), 3),
        ] {
            let mut body = body;
            body["policy"] = json!({"kill_switch": true});
            let published = admin(&server, "/v1/admin/policy/publish", body.clone()).await;
            assert_eq!(published["affected_devices"], affected, "{body}: {published}");
            let key = published["key_id"].as_str().unwrap();
            assert!(enrolled.anchors.anchors.iter().any(|anchor| anchor.id == key && anchor.key_use == KeyUse::PolicySigning));
            assert_eq!(one.anchors.sequence, enrolled.anchors.sequence);
        }
    }

    async fn a_gateway_reads_the_policies_of_the_devices_of_its_tenant(db: TestDb) {
        let server = serve(&db).await;
        publish(&server, json!({}), json!({"tunnel_mode": "split"})).await;
        let pool = admin(&server, "/v1/admin/settings/gateway-pools", json!({"action": "create", "name": "eu"})).await;
        let gateway = enroll(&server, json!({"kind": "gateway", "pool_id": pool["pool"]["id"]}), "gateway").await;
        let device = enroll(&server, json!({}), "device").await;
        let of_device = format!("{BUNDLE}?device_id={}", device.id);
        assert_eq!(gateway.get(&server, &of_device).await.body, device.get(&server, BUNDLE).await.body);
        assert_eq!(gateway.get(&server, BUNDLE).await.status, 422);
        assert_eq!(gateway.get(&server, &format!("{BUNDLE}?device_id={}", gateway.id)).await.status, 404);
        let other = enroll(&server, json!({}), "device").await;
        assert_eq!(device.get(&server, &format!("{BUNDLE}?device_id={}", other.id)).await.status, 403);
        assert_eq!(device.get(&server, &of_device).await.status, 200);
        assert_eq!(http(&server, Admin).await.get(&of_device).await.status, 403);
        for path in ["/v1/admin/devices", "/v1/admin/policy/versions"] {
            assert_eq!(device.get(&server, path).await.status, 401, "{path}");
            assert_eq!(gateway.get(&server, path).await.status, 401, "{path}");
        }
    }

    async fn a_credential_counts_as_long_as_its_device_may_call(db: TestDb) {
        let server = serve(&db).await;
        publish(&server, json!({}), json!({"tunnel_mode": "split"})).await;
        let lifecycle = "/v1/admin/devices/lifecycle";
        let device = enroll(&server, json!({"user_id": "ada", "pre_approved": false}), "device").await;
        let act = |action: &str| json!({"action": action, "device_id": device.id});
        assert_eq!(device.get(&server, BUNDLE).await.status, 403, "pending");
        admin(&server, lifecycle, act("approve")).await;
        assert_eq!(device.get(&server, BUNDLE).await.status, 200);
        admin(&server, lifecycle, act("suspend")).await;
        assert_eq!(device.get(&server, BUNDLE).await.status, 403, "suspended by itself");
        admin(&server, lifecycle, act("reactivate")).await;
        admin(&server, "/v1/admin/users/suspend", json!({"user_id": "ada"})).await;
        assert_eq!(device.get(&server, BUNDLE).await.status, 401, "its user is suspended");
        admin(&server, "/v1/admin/users/reactivate", json!({"user_id": "ada"})).await;
        assert_eq!(device.get(&server, BUNDLE).await.status, 200);
        // The token alone, and a proof that was used.
        let bearer = server.http().token(device.token.as_str());
        assert_eq!(bearer.get(BUNDLE).await.status, 401);
        let proven = device.http(&server, "GET", BUNDLE);
        assert_eq!((proven.get(BUNDLE).await.status, proven.get(BUNDLE).await.status), (200, 401));
        let tenant = |action: &str| json!({"action": action, "tenant_id": "acme"});
        let platform = http(&server, Platform).await;
        assert_eq!(post(&platform, "/v1/admin/tenants/lifecycle", tenant("suspend")).await.status, 200);
        assert_eq!(device.get(&server, BUNDLE).await.status, 401, "its tenant is suspended");
        assert_eq!(post(&platform, "/v1/admin/tenants/lifecycle", tenant("reactivate")).await.status, 200);
        admin(&server, lifecycle, act("revoke")).await;
        assert_eq!(device.get(&server, BUNDLE).await.status, 401, "revoked");
    }

    async fn the_last_call_of_a_device_and_a_gateway_is_noted(db: TestDb) {
        let server = serve(&db).await;
        let device = enroll(&server, json!({}), "device").await;
        let pool = admin(&server, "/v1/admin/settings/gateway-pools", json!({"action": "create", "name": "eu"})).await;
        let gateway = enroll(&server, json!({"kind": "gateway", "pool_id": pool["pool"]["id"]}), "gateway").await;
        sql(&db, "UPDATE devices SET last_seen_at = 1, last_ip = NULL".to_owned()).await.unwrap();
        assert_eq!(gateway.get(&server, ANCHORS).await.status, 200);
        assert_eq!(device.get(&server, ANCHORS).await.status, 200);
        let caller = http(&server, Admin).await;
        eventually("the calls to be noted", async || {
            let device = caller.get("/v1/admin/devices").await.json()["devices"][0].clone();
            let gateway = caller.get("/v1/admin/gateways").await.json()["gateways"][0].clone();
            let is_noted = device["last_ip"] == "127.0.0.1" && gateway["state"] == "online";
            (is_noted && device["version"] == 1).then_some(())
        })
        .await;
    }

    async fn a_device_renews_its_certificate(db: TestDb) {
        let server = serve(&db).await;
        publish(&server, json!({}), json!({"tunnel_mode": "split"})).await;
        let device = enroll(&server, json!({}), "device").await;
        let renew = async |csr: String| {
            let body = json!({"renew": true, "csr_pem": csr});
            post(&device.http(&server, "POST", ENROLL), ENROLL, body).await
        };
        let (same, new) = (device.key.csr(), DpopKey::generate());
        for csr in [same.clone(), new.csr(), same] {
            let renewed = renew(csr).await;
            assert_eq!(renewed.status, 201, "{renewed:?}");
            assert_eq!(renewed.json()["device_id"], device.id);
        }
        // The credential before is valid for a while.
        assert_eq!(device.get(&server, BUNDLE).await.status, 200);
        // A key of another device.
        let other = enroll(&server, json!({}), "device").await;
        assert_eq!(renew(other.key.csr()).await.status, 422);
        let body = json!({"renew": true, "csr_pem": DpopKey::generate().csr()});
        assert_eq!(post(&server.http(), ENROLL, body.clone()).await.status, 401, "without a credential");
        assert_eq!(post(&http(&server, Admin).await, ENROLL, body).await.status, 403, "of an administrator");
        let both = json!({"renew": true, "token": "x", "csr_pem": DpopKey::generate().csr()});
        assert_eq!(post(&device.http(&server, "POST", ENROLL), ENROLL, both).await.status, 422);
    }
}
