//! Questions about security policy certificates.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{
    conversation::{
        Who::{Admin, Other},
        http,
    },
    enrolled::{admin, enroll},
    spc_gateway::{PUBLISH, VALIDATE, World, now, of_device, pool, text},
};
use crate::rows::sql;

/// A certificate with another payload, whose signature does not match.
fn forged(spc: &str, change: impl FnOnce(&mut Value)) -> String {
    let parts: Vec<_> = spc.split('.').collect();
    let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    change(&mut claims);
    format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(claims.to_string()), parts[2])
}

/// A certificate with another key in its header.
fn with_key(spc: &str, kid: &str) -> String {
    let rest = spc.split_once('.').unwrap().1;
    let header = json!({"alg": "EdDSA", "typ": "spc+jwt", "kid": kid}).to_string();
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header))
}

both_databases! {
    async fn a_validation_says_what_was_checked(db: TestDb) {
        let world = World::new(&db).await;
        let spc = world.issued(json!({})).await;
        let signed = text(&spc["spc"]);
        let caller = http(&world.server, Admin).await;
        let found = caller.clone().header("x-spc", &signed).get(VALIDATE).await.json();
        let names = ["key", "signature", "known", "validity", "subject", "revocation", "audience", "policy"];
        let checks: Vec<_> = names.iter().map(|name| json!({"name": name, "ok": true})).collect();
        assert_eq!((&found["valid"], &found["reason"], &found["checks"]), (&json!(true), &json!("ok"), &json!(checks)));
        // The claims are those that were signed.
        let payload = URL_SAFE_NO_PAD.decode(signed.split('.').nth(1).unwrap()).unwrap();
        assert_eq!(found["spc"], serde_json::from_slice::<Value>(&payload).unwrap());
        let by_id = caller.get(&format!("{VALIDATE}?spc_id={}", text(&spc["spc_id"]))).await.json();
        assert_eq!((&by_id["reason"], &by_id["spc"]), (&json!("ok"), &found["spc"]));
        let unknown = caller.get(&format!("{VALIDATE}?spc_id=spc_01J7ST8Z0GFCQ9TCATDDY8V7GF")).await;
        assert_eq!((unknown.status, &unknown.json()["reason"]), (200, &json!("unknown")), "{unknown:?}");
    }

    async fn a_certificate_that_is_not_genuine_is_refused(db: TestDb) {
        let world = World::new(&db).await;
        let spc = world.issued(json!({})).await;
        let signed = text(&spc["spc"]);
        let caller = http(&world.server, Admin).await;
        let later = forged(&signed, |claims| claims["exp"] = json!(now() + 604_800));
        for (text, reason) in [
            (later, "bad_signature"),
            (with_key(&signed, "0000"), "unknown_key"),
            (with_key(&signed, &world.device.anchors.anchors[0].id), "unknown_key"),
        ] {
            let found = caller.clone().header("x-spc", &text).get(VALIDATE).await.json();
            assert_eq!((&found["reason"], &found["spc"]), (&json!(reason), &Value::Null), "{found}");
        }
        for malformed in ["x", "a.b.c", &signed[..signed.len() / 2], "spc_01J7ST8Z0GFCQ9TCATDDY8V7GF"] {
            let answer = caller.clone().header("x-spc", malformed).get(VALIDATE).await;
            assert_eq!((answer.status, answer.json()["error"].as_str()), (400, Some("bad_request")), "{malformed}: {answer:?}");
        }
        assert_eq!(caller.get(&format!("{VALIDATE}?spc_id=x")).await.status, 400);
        assert_eq!(caller.get(&format!("{VALIDATE}?spc={signed}")).await.status, 400, "never in the URL");
        assert_eq!(caller.get(VALIDATE).await.status, 422);
        let both = caller.clone().header("x-spc", &signed).get(&format!("{VALIDATE}?spc_id={}", text(&spc["spc_id"]))).await;
        assert_eq!(both.status, 422);
    }

    async fn certificates_of_others_are_unknown(db: TestDb) {
        let world = World::new(&db).await;
        let spc = world.issued(json!({})).await;
        let (signed, path) = (text(&spc["spc"]), format!("{VALIDATE}?spc_id={}", text(&spc["spc_id"])));
        let foreign = http(&world.server, Other).await;
        for answer in [foreign.get(&path).await, foreign.clone().header("x-spc", &signed).get(VALIDATE).await] {
            let found = answer.json();
            assert_eq!((answer.status, &found["reason"], &found["spc"]), (200, &json!("unknown"), &Value::Null));
        }
        // For a device those of another device; a gateway knows all.
        let other = enroll(&world.server, json!({}), "device").await;
        assert_eq!(other.get(&world.server, &path).await.json()["reason"], "unknown");
        assert_eq!(world.device.get(&world.server, &path).await.json()["reason"], "ok");
        assert_eq!(world.gateway.get(&world.server, &path).await.json()["reason"], "ok");
        let other = pool(&world.server, json!({"name": "us"})).await;
        let us = enroll(&world.server, json!({"kind": "gateway", "pool_id": other}), "gateway").await;
        // It was issued before that pool was made.
        assert_eq!(us.get(&world.server, &path).await.json()["reason"], "audience");
    }

    async fn a_validation_names_the_first_reason(db: TestDb) {
        let world = World::new(&db).await;
        let spc = world.issued(json!({})).await;
        assert_eq!(world.verdict(&spc).await, "ok");
        // A newer policy: the one before is accepted for 15 minutes.
        let other = json!({"channel": "stable", "policy": {"tunnel_mode": "full"}});
        admin(&world.server, PUBLISH, other).await;
        assert_eq!(world.verdict(&spc).await, "ok");
        let ago = (now() - 901) * 1_000_000;
        sql(&db, format!("UPDATE policies SET published_at = {ago}")).await.unwrap();
        assert_eq!(world.verdict(&spc).await, "policy_superseded");
        // The same content again.
        let same = json!({"channel": "stable", "from_version": 1});
        admin(&world.server, PUBLISH, same).await;
        sql(&db, format!("UPDATE policies SET published_at = {ago}")).await.unwrap();
        assert_eq!(world.verdict(&spc).await, "ok");
        let group = json!({"action": "create", "name": "Ops", "user_ids": ["ada"]});
        let group = admin(&world.server, "/v1/admin/groups/lifecycle", group).await["group"]["id"].clone();
        let narrow = json!({"channel": "stable", "scope": {"type": "group", "id": group}, "policy": {"tunnel_mode": "split"}});
        admin(&world.server, PUBLISH, narrow).await;
        assert_eq!(world.verdict(&spc).await, "ok", "the digest is still among those of the device");
        let later = (now() + 120) * 1_000_000;
        sql(&db, format!("UPDATE spcs SET not_before = {later}")).await.unwrap();
        assert_eq!(world.verdict(&spc).await, "not_yet_valid");
        let ended = (now() - 61) * 1_000_000;
        sql(&db, format!("UPDATE spcs SET not_before = 1, not_after = {ended}")).await.unwrap();
        assert_eq!(world.verdict(&spc).await, "expired");
        let revoked = admin(&world.server, "/v1/spc/revoke", json!({"subject": of_device(&world.device.id)})).await;
        assert_eq!(revoked["revoked"], 0);
    }
}
