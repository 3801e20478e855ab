//! The revocation of security policy certificates, and the bundle that says which are revoked.

use base64::{Engine, engine::general_purpose::STANDARD};
use bundle_verify::{Kind, Refusal, Shelf};
use serde_json::{Value, json};

use super::{
    conversation::{
        Who::{Admin, Other},
        http,
    },
    enrolled::{admin, enroll, post},
    spc_gateway::{BUNDLE, LIFECYCLE, REVOKE, RUNTIME, World, now, of_device, text},
};
use crate::{
    harness::{enroll::DpopKey, eventually, server::Setup},
    rows::sql,
};

both_databases! {
    async fn a_revoked_certificate_is_refused(db: TestDb) {
        let mut world = World::new(&db).await;
        let kept = world.issued(json!({})).await;
        let mut expected = Vec::new();
        for member in ["spc_id", "serial"] {
            let spc = world.issued(json!({})).await;
            let request = json!({member: spc[member], "reason": "keyCompromise"});
            let sequence = expected.len() as i64 + 1;
            assert_eq!(world.revoke(request.clone()).await, (1, sequence), "{member}");
            assert_eq!(world.revoke(request).await, (0, sequence), "again");
            expected.push(spc["serial"].clone());
            let bundle = world.refresh().await;
            assert_eq!((&bundle["sequence"], &bundle["revocations"]["serials"]), (&json!(sequence), &json!(expected)));
            assert_eq!(world.admits(&world.device.key, &spc).unwrap_err(), Refusal::Revoked);
            assert_eq!(world.verdict(&spc).await, "revoked");
            world.admits(&world.device.key, &kept).unwrap();
        }
        // Those of a device, and those of a key.
        let other = world.issued(json!({})).await;
        assert_eq!(world.revoke(json!({"subject": of_device(&world.device.id)})).await, (2, 3));
        let last = world.issued(json!({})).await;
        assert_eq!(world.revoke(json!({"key_id": last["key_id"]})).await, (1, 4));
        world.refresh().await;
        for spc in [&kept, &other, &last] {
            assert_eq!(world.admits(&world.device.key, spc).unwrap_err(), Refusal::Revoked);
        }
        for (request, status) in [
            (json!({"spc_id": "spc_01J7ST8Z0GFCQ9TCATDDY8V7GF"}), 404),
            (json!({"serial": "00"}), 404),
            (json!({"subject": of_device("dev_01J7ST8Z0GFCQ9TCATDDY8V7GF")}), 404),
            (json!({"key_id": "00"}), 404),
            (json!({}), 422),
            (json!({"all": true, "serial": "00"}), 422),
            (json!({"all": true, "reason": "certificateHold"}), 422),
        ] {
            let answer = post(&http(&world.server, Admin).await, REVOKE, request.clone()).await;
            assert_eq!(answer.status, status, "{request}: {answer:?}");
        }
        let foreign = post(&http(&world.server, Other).await, REVOKE, json!({"serial": last["serial"]})).await;
        assert_eq!(foreign.status, 404);
    }

    async fn revoking_all_raises_the_epoch(db: TestDb) {
        let mut world = World::new(&db).await;
        assert_eq!(world.revoke(json!({"all": true})).await, (0, 0), "there is none");
        let spcs = [world.issued(json!({})).await, world.issued(json!({})).await];
        assert_eq!(world.revoke(json!({"all": true, "reason": "cACompromise"})).await, (2, 1));
        assert_eq!(world.revoke(json!({"all": true})).await, (0, 1));
        let bundle = world.refresh().await;
        // The epoch says it all.
        assert_eq!(bundle["revocations"], json!({"serials": [], "epoch": 2, "full": true}));
        for spc in &spcs {
            assert_eq!(world.admits(&world.device.key, spc).unwrap_err(), Refusal::Revoked);
            assert_eq!(world.verdict(spc).await, "revoked");
        }
        let new = world.issued(json!({})).await;
        assert_eq!(world.admits(&world.device.key, &new).unwrap().epoch, 2);
    }

    async fn a_bundle_has_the_revocations_since_a_known_sequence(db: TestDb) {
        let mut world = World::new(&db).await;
        let mut serials = Vec::new();
        for _ in 0..3 {
            let spc = world.issued(json!({})).await;
            world.revoke(json!({"serial": spc["serial"]})).await;
            serials.push(spc["serial"].clone());
        }
        let spc = world.issued(json!({})).await;
        let full = world.gateway.get(&world.server, RUNTIME).await;
        for (since, expected) in [("1", &serials[1..]), ("2", &serials[2..]), ("3", &[])] {
            let path = format!("{BUNDLE}?since_sequence={since}");
            let answer = world.device.get(&world.server, &path).await;
            // It continues an earlier one, and says which.
            let mut shelf = Shelf::default();
            let alone = shelf.accept(&world.device.anchors, Kind::SpcBundle, answer.body.as_bytes(), now());
            assert_eq!(alone.unwrap_err(), Refusal::Gap, "{since}");
            let payload = STANDARD.decode(answer.json()["payload"].as_str().unwrap()).unwrap();
            let payload: Value = serde_json::from_slice(&payload).unwrap();
            let after: i64 = since.parse().unwrap();
            let revocations = json!({"serials": expected, "epoch": 1, "full": false, "since_sequence": after});
            assert_eq!((&payload["sequence"], &payload["revocations"]), (&json!(3), &revocations), "{since}");
            // One that is not complete admits nobody.
            world.gateway.shelf = shelf;
            assert_eq!(world.admits(&world.device.key, &spc).unwrap_err(), Refusal::NothingFresh);
            let again = world.device.http(&world.server, "GET", &path).header("if-none-match", answer.header("etag").unwrap());
            assert_eq!(again.get(&path).await.status, 304, "{since}");
        }
        world.refresh().await;
        world.admits(&world.device.key, &spc).unwrap();
        for unknown in ["0", "4", "9999999"] {
            let path = format!("{BUNDLE}?since_sequence={unknown}");
            assert_eq!(world.device.get(&world.server, &path).await.body, full.body, "{unknown}");
        }
        assert_eq!(world.device.get(&world.server, BUNDLE).await.body, full.body, "one signature for all");
        assert_eq!(world.device.get(&world.server, &format!("{BUNDLE}?since_sequence=-1")).await.status, 422);
        let tag = full.header("etag").unwrap();
        let fresh = world.gateway.http(&world.server, "GET", RUNTIME).header("if-none-match", tag);
        assert_eq!(fresh.get(RUNTIME).await.status, 304);
    }

    async fn the_certificates_of_a_suspended_user_do_not_come_back(db: TestDb) {
        let mut world = World::new(&db).await;
        let second = enroll(&world.server, json!({"user_id": "ada"}), "device").await;
        let spc = world.issued(json!({})).await;
        let of_second = admin(&world.server, "/v1/spc/issue", json!({"subject": of_device(&second.id)})).await;
        let before = world.refresh().await["sequence"].as_i64().unwrap();
        admin(&world.server, "/v1/admin/users/suspend", json!({"user_id": "ada"})).await;
        assert_eq!(world.verdict(&spc).await, "subject_inactive");
        let bundle = world.refresh().await;
        assert_eq!(bundle["sequence"], before + 1, "once for both devices");
        assert_eq!(bundle["revocations"]["serials"], json!([spc["serial"], of_second["serial"]]));
        assert_eq!(world.admits(&world.device.key, &spc).unwrap_err(), Refusal::Revoked);
        admin(&world.server, "/v1/admin/users/reactivate", json!({"user_id": "ada"})).await;
        assert_eq!(world.verdict(&spc).await, "revoked");
        assert_eq!(world.refresh().await["sequence"], before + 1);
        let new = world.issued(json!({})).await;
        world.admits(&world.device.key, &new).unwrap();
        // A deleted user.
        admin(&world.server, "/v1/admin/users/lifecycle", json!({"action": "delete", "user_id": "ada"})).await;
        assert_eq!(world.refresh().await["sequence"], before + 2);
        assert_eq!(world.admits(&world.device.key, &new).unwrap_err(), Refusal::Revoked);
        assert_eq!(world.verdict(&new).await, "subject_inactive");
    }

    async fn the_certificates_of_a_device_end_with_its_access(db: TestDb) {
        let mut world = World::new(&db).await;
        world.refresh().await;
        for (number, action) in ["suspend", "force_reauth", "revoke"].into_iter().enumerate() {
            let device = enroll(&world.server, json!({}), "device").await;
            let spc = admin(&world.server, "/v1/spc/issue", json!({"subject": of_device(&device.id)})).await;
            world.admits(&device.key, &spc).unwrap();
            admin(&world.server, LIFECYCLE, json!({"action": action, "device_id": device.id})).await;
            assert_eq!(world.refresh().await["sequence"], number + 2, "{action}");
            assert_eq!(world.admits(&device.key, &spc).unwrap_err(), Refusal::Revoked, "{action}");
        }
        // An enrollment with another key.
        let spc = world.issued(json!({})).await;
        let again = json!({"action": "re_enroll", "device_id": world.device.id});
        let token = text(&admin(&world.server, LIFECYCLE, again).await["enrollment_token"]);
        world.refresh().await;
        world.admits(&world.device.key, &spc).unwrap();
        let key = DpopKey::generate();
        let body = json!({"token": token, "public_key": key.jwk(), "proof": key.proof_of_token(&token, None),
            "device": {"name": "one", "platform": "linux"}});
        assert_eq!(post(&world.server.http(), "/v1/enroll", body).await.status, 201);
        world.refresh().await;
        assert_eq!(world.admits(&world.device.key, &spc).unwrap_err(), Refusal::Revoked);
        let new = admin(&world.server, "/v1/spc/issue", json!({"subject": of_device(&world.device.id)})).await;
        world.admits(&key, &new).unwrap();
    }

    async fn the_certificates_of_a_pruned_device_are_revoked(db: TestDb) {
        let mut world = World::new(&db).await;
        let device = enroll(&world.server, json!({"ephemeral": true}), "device").await;
        let spc = admin(&world.server, "/v1/spc/issue", json!({"subject": of_device(&device.id)})).await;
        let before = world.refresh().await["sequence"].as_i64().unwrap();
        sql(&db, "UPDATE devices SET last_seen_at = 1, created_at = 1 WHERE ephemeral".to_owned()).await.unwrap();
        let run = Setup::dev().database(&db.url).run(&["jobs", "run", "device-pruning"]).await;
        assert!(run.status.success(), "{run:?}");
        eventually("the revocation", async || (world.verdict(&spc).await == "subject_inactive").then_some(())).await;
        let bundle = world.refresh().await;
        assert_eq!((&bundle["sequence"], &bundle["revocations"]["serials"]), (&json!(before + 1), &json!([spc["serial"]])));
    }

    async fn certificates_that_have_ended_leave_the_bundle_and_then_the_database(db: TestDb) {
        let mut world = World::new(&db).await;
        let (old, new) = (world.issued(json!({})).await, world.issued(json!({})).await);
        world.revoke(json!({"subject": of_device(&world.device.id)})).await;
        assert_eq!(world.refresh().await["revocations"]["serials"], json!([old["serial"], new["serial"]]));
        let ended = (now() - 61) * 1_000_000;
        let update = format!("UPDATE spcs SET not_after = {ended} WHERE serial = '{}'", text(&old["serial"]));
        sql(&db, update).await.unwrap();
        // The bundle ends soon, and is signed again under its sequence.
        let soon = (now() + 3600) * 1_000_000;
        sql(&db, format!("UPDATE spc_bundles SET expires_at = {soon}")).await.unwrap();
        let bundle = world.refresh().await;
        assert_eq!((&bundle["sequence"], &bundle["revocations"]["serials"]), (&json!(1), &json!([new["serial"]])));
        assert_eq!(world.verdict(&old).await, "expired");
        assert_eq!(world.revoke(json!({"serial": old["serial"]})).await, (0, 1));
        sql(&db, format!("UPDATE spcs SET not_after = 1 WHERE serial = '{}'", text(&old["serial"]))).await.unwrap();
        let run = Setup::dev().database(&db.url).run(&["jobs", "run", "spc-pruning"]).await;
        assert!(run.status.success(), "{run:?}");
        eventually("the deletion", async || (world.verdict(&old).await == "unknown").then_some(())).await;
        assert_eq!(world.verdict(&new).await, "revoked");
    }

    async fn a_change_of_the_keys_raises_the_sequence(db: TestDb) {
        let mut world = World::new(&db).await;
        let before = world.refresh().await;
        let year = (now() + 366 * 86_400) * 1_000_000;
        sql(&db, format!("UPDATE signers SET not_after = {year} WHERE key_use = 'spc-signing'")).await.unwrap();
        let after = world.refresh().await;
        assert_eq!(after["sequence"], before["sequence"].as_i64().unwrap() + 1);
        let keys = |bundle: &Value| bundle["keys"][0]["not_after"].clone();
        assert_ne!(keys(&after), keys(&before));
        assert_eq!(world.refresh().await, after);
    }
}
