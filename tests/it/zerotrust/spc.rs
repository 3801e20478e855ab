//! The issue of security policy certificates: whom a gateway admits with them, and what they say.

use bundle_verify::{
    Kind, Refusal,
    spc::{Connection, verify_offline},
};
use futures::future::join_all;
use serde_json::{Value, json};

use super::{
    conversation::{
        Who::{Admin, Auditor, Network, Nobody, Operator, Other, Platform, User},
        http,
    },
    enrolled::{admin, enroll, post},
    spc_gateway::{ISSUE, LIFECYCLE, PUBLISH, World, now, of_device, pool, text, thumbprint},
};

both_databases! {
    async fn a_gateway_admits_a_device_with_its_certificate(db: TestDb) {
        let mut world = World::new(&db).await;
        let spc = world.issued(json!({})).await;
        let bundle = world.refresh().await;
        assert_eq!((&bundle["schema"], &bundle["sequence"]), (&json!("tenantry.spc-bundle.v1"), &json!(1)), "{bundle}");
        assert_eq!(bundle["revocations"], json!({"serials": [], "epoch": 1, "full": true}), "{bundle}");
        assert_eq!((&bundle["keys"][0]["id"], &bundle["keys"][0]["state"]), (&spc["key_id"], &json!("active")));
        let claims = world.admits(&world.device.key, &spc).unwrap();
        assert_eq!((&claims.jti, &claims.serial), (&text(&spc["spc_id"]), &text(&spc["serial"])));
        assert_eq!((claims.sub, claims.amr_min.as_str()), (format!("device:{}", world.device.id), "B"));
        assert_eq!((claims.pol.version, claims.pol.digest.as_str()), (1, spc["policy_digest"].as_str().unwrap()));
        assert_eq!(spc["policy_digest"], json!(world.digest));
        assert!((claims.exp - claims.nbf, (now() - claims.nbf).abs() < 30) == (86_400, true), "{spc}");
        // Another pool, another key, and another policy.
        let (audience, key) = (format!("pool:{}", world.pool), thumbprint(&world.device.key));
        let other = world.connects("pool:pool_1", &key, &world.digest, &spc);
        assert_eq!(other.unwrap_err(), Refusal::Audience);
        assert_eq!(world.admits(&world.gateway.key, &spc).unwrap_err(), Refusal::KeyMismatch);
        assert_eq!(world.connects(&audience, &key, "sha256:00", &spc).unwrap_err(), Refusal::PolicySuperseded);
        assert_eq!(world.verdict(&spc).await, "ok");
        // An administrator issues one for the device.
        let request = json!({"subject": of_device(&world.device.id), "ttl_seconds": 300, "policy_version": 1,
            "scopes": {"pools": [world.pool], "min_auth_mode": "C"}, "audience": [audience]});
        let spc = admin(&world.server, ISSUE, request).await;
        let claims = world.admits(&world.device.key, &spc).unwrap();
        assert_eq!((claims.exp - claims.nbf, claims.amr_min.as_str()), (300, "C"));
    }

    async fn a_gateway_that_is_cut_off_admits_for_as_long_as_its_pool_permits(db: TestDb) {
        let mut world = World::new(&db).await;
        let spc = world.issued(json!({})).await;
        world.refresh().await;
        let (audience, key) = (format!("pool:{}", world.pool), thumbprint(&world.device.key));
        let pools = "/v1/admin/settings/gateway-pools";
        let digest = world.digest.clone();
        // What a gateway decides that heard of the server some seconds ago, with its current configuration.
        let decide = async |world: &mut World, seconds: i64| {
            let config = world.gateway.get(&world.server, "/v1/gateway/runtime/deployment-config").await;
            world.gateway.verify(Kind::DeploymentConfig, &config);
            let connection = Connection { audience: &audience, proven_key: &key, policies: &[&digest] };
            let (anchors, shelf, now) = (&world.gateway.anchors, &world.gateway.shelf, now());
            verify_offline(anchors, shelf, spc["spc"].as_str().unwrap(), &connection, now - seconds, now).map(|spc| spc.jti)
        };
        assert_eq!(decide(&mut world, 0).await, Err(Refusal::OfflineGraceOver), "the default");
        admin(&world.server, pools, json!({"action": "update", "pool_id": world.pool, "offline_grace_seconds": 60})).await;
        assert_eq!(decide(&mut world, 59).await, Ok(text(&spc["spc_id"])));
        assert_eq!(decide(&mut world, 60).await, Err(Refusal::OfflineGraceOver));
        assert_eq!(decide(&mut world, -1).await, Err(Refusal::OfflineGraceOver));
        admin(&world.server, pools, json!({"action": "drain", "pool_id": world.pool})).await;
        assert_eq!(decide(&mut world, 1).await, Err(Refusal::Draining));
        admin(&world.server, pools, json!({"action": "undrain", "pool_id": world.pool})).await;
        assert_eq!(decide(&mut world, 1).await, Ok(text(&spc["spc_id"])));
    }

    async fn the_policy_of_a_certificate_is_the_narrowest_stable_one(db: TestDb) {
        let mut world = World::new(&db).await;
        let group = json!({"action": "create", "name": "Ops", "user_ids": ["ada"]});
        let group = admin(&world.server, "/v1/admin/groups/lifecycle", group).await["group"]["id"].clone();
        let of_group = json!({"type": "group", "id": group});
        let publish = async |body: Value| admin(&world.server, PUBLISH, body).await;
        let narrow = publish(json!({"channel": "stable", "scope": of_group, "policy": {"kill_switch": true}})).await;
        // A canary for the device, and one with a stricter mode.
        publish(json!({"channel": "canary", "scope": of_group, "policy": {"kill_switch": false, "min_auth_mode": "C"},
            "canary": {"device_ids": [world.device.id]}})).await;
        let spc = world.issued(json!({})).await;
        assert_eq!(spc["policy_digest"], narrow["digest"]);
        world.refresh().await;
        let digest = text(&narrow["digest"]);
        let (audience, key) = (format!("pool:{}", world.pool), thumbprint(&world.device.key));
        let claims = world.connects(&audience, &key, &digest, &spc).unwrap();
        assert_eq!((claims.pol.version, claims.amr_min.as_str()), (2, "C"));
        // The wider one, as long as a section comes from it.
        assert_eq!(world.issued(json!({"policy_version": 1})).await["policy_digest"], json!(world.digest));
        for (version, status) in [(3, 422), (9, 404), (-1, 404)] {
            assert_eq!(world.issue(json!({"policy_version": version})).await.status, status, "{version}");
        }
        let weaker = world.issue(json!({"scopes": {"min_auth_mode": "A"}})).await;
        assert_eq!((weaker.status, weaker.json()["fields"]["scopes.min_auth_mode"].is_string()), (422, true), "{weaker:?}");
    }

    async fn a_certificate_does_not_outlast_the_policy(db: TestDb) {
        let world = World::new(&db).await;
        let policy = json!({"channel": "stable", "policy": {}, "expires_in_seconds": 3600});
        let expires = admin(&world.server, PUBLISH, policy).await["expires_at"].clone();
        let spc = world.issued(json!({"ttl_seconds": 604_800})).await;
        assert_eq!(spc["not_after"].as_str().unwrap()[..19], expires.as_str().unwrap()[..19], "{spc}");
        crate::rows::sql(&db, "UPDATE policies SET expires_at = 1".to_owned()).await.unwrap();
        let expired = world.issue(json!({})).await;
        assert_eq!((expired.status, expired.json()["error"].as_str()), (409, Some("conflict")), "{expired:?}");
    }

    async fn a_certificate_is_for_the_pools_that_the_device_may_use(db: TestDb) {
        let world = World::new(&db).await;
        let group = json!({"action": "create", "name": "Ops"});
        let group = admin(&world.server, "/v1/admin/groups/lifecycle", group).await["group"]["id"].clone();
        let of_group = pool(&world.server, json!({"name": "ops", "allowed_group_ids": [group]})).await;
        let unlisted = pool(&world.server, json!({"name": "us"})).await;
        let policy = |pools: Value| json!({"channel": "stable", "policy": {"gateway_pools": pools}});
        admin(&world.server, PUBLISH, policy(json!([world.pool, of_group]))).await;
        let audience = async |request: Value| {
            let id = text(&world.issued(request).await["spc_id"]);
            let found = http(&world.server, Admin).await.get(&format!("/v1/spc/validate?spc_id={id}")).await;
            found.json()["spc"]["aud"].clone()
        };
        let eu = format!("pool:{}", world.pool);
        assert_eq!(audience(json!({})).await, json!([eu]), "the device is not in the group");
        for (request, field) in [
            (json!({"audience": [eu, format!("pool:{of_group}")]}), "audience[1]"),
            (json!({"scopes": {"pools": [unlisted]}}), "scopes.pools[0]"),
            (json!({"scopes": {"pools": ["pool_01J7ST8Z0GFCQ9TCATDDY8V7GF"]}}), "scopes.pools[0]"),
            (json!({"audience": [world.pool]}), "audience[0]"),
        ] {
            let refused = world.issue(request.clone()).await;
            assert_eq!((refused.status, refused.json()["fields"][field].is_string()), (422, true), "{request}: {refused:?}");
        }
        let members = json!({"action": "add_members", "group_id": group, "user_ids": ["ada"]});
        admin(&world.server, "/v1/admin/groups/lifecycle", members).await;
        assert_eq!(audience(json!({})).await, json!([eu, format!("pool:{of_group}")]));
        assert_eq!(audience(json!({"scopes": {"pools": [of_group]}})).await, json!([format!("pool:{of_group}")]));
        assert_eq!(world.issue(json!({"scopes": {"pools": [of_group]}, "audience": [eu]})).await.status, 422);
        admin(&world.server, PUBLISH, policy(json!([]))).await;
        assert_eq!(world.issue(json!({})).await.status, 409, "no pool at all");
    }

    async fn a_device_has_at_most_64_valid_certificates(db: TestDb) {
        let mut world = World::new(&db).await;
        let first = world.issued(json!({})).await;
        let many = join_all((1..80).map(|_| world.issue(json!({})))).await;
        assert_eq!(many.iter().filter(|answer| answer.status == 201).count(), 63, "also at once");
        let refused = many.iter().find(|answer| answer.status != 201).unwrap();
        assert_eq!((refused.status, refused.json()["error"].as_str()), (409, Some("conflict")), "{refused:?}");
        assert!(refused.json()["detail"].as_str().unwrap().contains("64 valid certificates"), "{refused:?}");
        assert_eq!(refused.json()["limit"], json!({"resource": "spcs_per_device", "limit": 64, "used": 64}));
        let by_admin = json!({"subject": of_device(&world.device.id)});
        assert_eq!(post(&http(&world.server, Admin).await, ISSUE, by_admin).await.status, 409);
        // Nothing changed for those that it has, and for other devices.
        world.refresh().await;
        assert!(world.admits(&world.device.key, &first).is_ok());
        let other = enroll(&world.server, json!({}), "device").await;
        let of_other = json!({"subject": of_device(&other.id)});
        assert_eq!(post(&http(&world.server, Admin).await, ISSUE, of_other).await.status, 201);
        // One that was revoked, and one that has ended, make room.
        world.revoke(json!({"spc_id": first["spc_id"]})).await;
        world.issued(json!({})).await;
        assert_eq!(world.issue(json!({})).await.status, 409);
        crate::rows::sql(&db, "UPDATE spcs SET not_after = 1".to_owned()).await.unwrap();
        world.issued(json!({})).await;
    }

    async fn only_active_devices_get_certificates(db: TestDb) {
        let world = World::new(&db).await;
        let ask = async |id: &str| {
            let body = json!({"subject": of_device(id)});
            post(&http(&world.server, Admin).await, ISSUE, body).await.status
        };
        let act = async |action: &str, id: &str| {
            admin(&world.server, LIFECYCLE, json!({"action": action, "device_id": id})).await
        };
        let pending = enroll(&world.server, json!({"pre_approved": false}), "device").await;
        assert_eq!(ask(&pending.id).await, 409);
        act("approve", &pending.id).await;
        assert_eq!(ask(&pending.id).await, 201);
        act("suspend", &pending.id).await;
        assert_eq!(ask(&pending.id).await, 409);
        act("reactivate", &pending.id).await;
        act("force_reauth", &pending.id).await;
        assert_eq!(ask(&pending.id).await, 409, "without a credential");
        act("revoke", &pending.id).await;
        assert_eq!(ask(&pending.id).await, 409);
        for (id, status) in [("dev_01J7ST8Z0GFCQ9TCATDDY8V7GF", 404), ("laptop", 404)] {
            assert_eq!(ask(id).await, status, "{id}");
        }
        admin(&world.server, "/v1/admin/users/suspend", json!({"user_id": "ada"})).await;
        assert_eq!(ask(&world.device.id).await, 409, "its user is suspended");
        let other = enroll(&world.server, json!({}), "device").await;
        admin(&world.server, "/v1/admin/users/reactivate", json!({"user_id": "ada"})).await;
        assert_eq!(world.issue(json!({"subject": of_device(&world.device.id)})).await.status, 201);
        assert_eq!(world.issue(json!({"subject": of_device(&other.id)})).await.status, 403, "of another device");
        assert_eq!(world.issue(json!({"subject": {"type": "gateway", "id": world.gateway.id}})).await.status, 422);
        assert_eq!(world.issue(json!({"tenant_id": "other"})).await.status, 403);
        // A policy that demands a posture, which is unknown.
        let posture = json!({"required": ["disk_encrypted"], "max_age_seconds": 3600, "on_fail": "block"});
        admin(&world.server, PUBLISH, json!({"channel": "stable", "policy": {"posture": posture}})).await;
        assert_eq!(world.issue(json!({})).await.status, 403);
    }

    async fn many_certificates_are_issued_at_once(db: TestDb) {
        let mut world = World::new(&db).await;
        let answers = join_all((0..20).map(|_| world.issue(json!({})))).await;
        let mut serials = Vec::new();
        for answer in &answers {
            assert_eq!(answer.status, 201, "{answer:?}");
            serials.push(text(&answer.json()["serial"]));
        }
        serials.sort();
        serials.dedup();
        assert_eq!(serials.len(), 20);
        world.refresh().await;
        for answer in &answers {
            world.admits(&world.device.key, &answer.json()).unwrap();
        }
    }

    async fn each_role_does_what_the_matrix_says(db: TestDb) {
        let world = World::new(&db).await;
        let spc = world.issued(json!({})).await;
        let named = json!({"subject": of_device(&world.device.id)});
        let validate = format!("/v1/spc/validate?spc_id={}", text(&spc["spc_id"]));
        // Reads, issues and revokes.
        for (who, expected) in [
            (Admin, [200, 200, 201, 200]),
            (Network, [403, 403, 403, 403]),
            (Operator, [200, 200, 403, 200]),
            (Auditor, [200, 200, 403, 403]),
            (User, [403, 403, 403, 403]),
            (Nobody, [401, 401, 401, 401]),
            (Other, [200, 200, 404, 404]),
            (Platform, [422, 422, 422, 422]),
        ] {
            let caller = http(&world.server, who).await;
            let found = [
                caller.get("/v1/spc/bundle").await.status,
                caller.get(&validate).await.status,
                post(&caller, ISSUE, named.clone()).await.status,
                post(&caller, "/v1/spc/revoke", named.clone()).await.status,
            ];
            assert_eq!(found, expected, "{who:?}");
            assert_eq!(caller.get("/v1/gateway/runtime/spc-bundle").await.status, if expected[0] == 401 { 401 } else { 403 });
        }
        let platform = http(&world.server, Platform).await;
        assert_eq!(platform.get("/v1/spc/bundle?tenant_id=acme").await.status, 200);
        let body = json!({"tenant_id": "acme", "subject": of_device(&world.device.id)});
        assert_eq!(post(&platform, ISSUE, body).await.status, 201);
        // Devices and gateways.
        for (path, device, gateway) in [
            ("/v1/spc/bundle", 200, 200),
            ("/v1/gateway/runtime/spc-bundle", 403, 200),
            (validate.as_str(), 200, 200),
        ] {
            assert_eq!(world.device.get(&world.server, path).await.status, device, "{path}");
            assert_eq!(world.gateway.get(&world.server, path).await.status, gateway, "{path}");
        }
        let issue = world.gateway.http(&world.server, "POST", ISSUE);
        assert_eq!(post(&issue, ISSUE, named.clone()).await.status, 403);
        let revoke = world.device.http(&world.server, "POST", "/v1/spc/revoke");
        assert_eq!(post(&revoke, "/v1/spc/revoke", named).await.status, 401, "only administrators revoke");
    }
}
