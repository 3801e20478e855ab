//! Devices over REST: every documented response, in one conversation that is the same on both databases; and what follows their user,
//! their token and the time.

use reqwest::Method;
use serde_json::{Value, json};

use super::conversation::{
    Line,
    Who::{Admin, Auditor, Nobody, Operator, Other, Platform, User},
    check, http, serve,
};
use crate::{
    db::TestDb,
    harness::{
        enroll::csr,
        eventually, fleet,
        http::Http,
        server::{Server, Setup},
    },
};

const DEVICES: &str = "/v1/admin/devices";
const CHANGE: &str = "/v1/admin/devices/lifecycle";
const BATCH: &str = "/v1/admin/devices/batch";
const TOKENS: &str = "/v1/admin/tokens";

#[rustfmt::skip]
const ABOUT_DEVICES: &[Line] = &[
    (Admin, "GET", DEVICES, None),
    // From approval to revocation.
    (Admin, "POST", CHANGE, Some(r#"{"action":"approve","device_id":"<dev_2>","if_version":1}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"approve","device_id":"<dev_2>"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"suspend","device_id":"<dev_2>","if_version":1}"#)),
    (Operator, "POST", CHANGE, Some(r#"{"action":"suspend","device_id":"<dev_2>","reason":"lost"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"approve","device_id":"<dev_2>"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"reject","device_id":"<dev_2>"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"reactivate","device_id":"<dev_2>"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"rename","device_id":"<dev_2>","name":"Ada's desktop"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"re_enroll","device_id":"<dev_2>"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"force_reauth","device_id":"<dev_2>"}"#)),
    (Admin, "GET", "/v1/admin/tokens?status=revoked", None),
    (Admin, "POST", CHANGE, Some(r#"{"action":"revoke","device_id":"<dev_2>"}"#)),
    (Admin, "GET", "/v1/admin/tokens?status=active", None),
    (Admin, "POST", CHANGE, Some(r#"{"action":"revoke","device_id":"<dev_2>"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"rename","device_id":"<dev_2>","name":"x"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"suspend","device_id":"<dev_3>"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"reject","device_id":"<dev_3>"}"#)),
    // Filters and pages.
    (Admin, "GET", "/v1/admin/devices?status=revoked&limit=1", None),
    (Admin, "GET", "/v1/admin/devices?platform=ios", None),
    (Admin, "GET", "/v1/admin/devices?q=DESK&platform=linux", None),
    (Admin, "GET", "/v1/admin/devices?user_id=bob", None),
    (Admin, "GET", "/v1/admin/devices?user_id=nobody", None),
    (Admin, "GET", "/v1/admin/devices?last_seen_after=2026-01-01T00:00:00Z", None),
    (Admin, "GET", "/v1/admin/devices?last_seen_before=2020-01-01T00:00:00Z", None),
    (Admin, "GET", "/v1/admin/devices?last_seen_before=yesterday", None),
    (Admin, "GET", "/v1/admin/devices?status=lost", None),
    (Admin, "GET", "/v1/admin/devices?platform=beos", None),
    (Admin, "GET", "/v1/admin/devices?group_id=ops", None),
    (Admin, "GET", "/v1/admin/devices?limit=0", None),
    (Admin, "GET", "/v1/admin/devices?cursor=garbage", None),
    // Many at once.
    (Admin, "POST", BATCH, Some(r#"{"action":"suspend","device_ids":["<dev_1>","<dev_2>","dev_1"],"dry_run":true}"#)),
    (Admin, "POST", BATCH, Some(r#"{"action":"suspend","device_ids":["<dev_1>","<dev_2>","dev_1"],"reason":"stolen"}"#)),
    (Admin, "POST", BATCH, Some(r#"{"action":"re_enroll","filter":{"status":"suspended"},"expected_count":1}"#)),
    (Admin, "POST", BATCH, Some(r#"{"action":"reactivate","filter":{"status":"suspended"},"expected_count":2}"#)),
    (Admin, "POST", BATCH, Some(r#"{"action":"reactivate","filter":{"status":"suspended","user_id":"ada"},"expected_count":1}"#)),
    (Admin, "POST", BATCH, Some(r#"{"action":"reactivate","filter":{"status":"suspended"}}"#)),
    (Admin, "POST", BATCH, Some(r#"{"action":"reactivate","filter":{"status":"lost"},"expected_count":1}"#)),
    (Admin, "POST", BATCH, Some(r#"{"action":"reactivate","device_ids":["<dev_1>"],"filter":{},"expected_count":1}"#)),
    (Admin, "POST", BATCH, Some(r#"{"action":"reactivate","device_ids":["<dev_1>"],"expected_count":1}"#)),
    (Admin, "POST", BATCH, Some(r#"{"action":"reactivate","device_ids":["<dev_1>","<dev_1>"]}"#)),
    (Admin, "POST", BATCH, Some(r#"{"action":"reactivate"}"#)),
    (Admin, "POST", BATCH, Some(r#"{"action":"rename","device_ids":["<dev_1>"]}"#)),
    (Admin, "POST", BATCH, None),
    // Violated rules.
    (Admin, "POST", CHANGE, Some(r#"{"action":"suspend"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"suspend","device_id":"dev_1"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"rename","device_id":"<dev_1>","name":" "}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"rename","device_id":"<dev_1>"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"suspend","device_id":"<dev_1>","name":"x"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"explode","device_id":"<dev_1>"}"#)),
    (Admin, "POST", CHANGE, None),
    (Admin, "DELETE", DEVICES, None),
    // Tenants and permissions.
    (Platform, "GET", DEVICES, None),
    (Platform, "GET", "/v1/admin/devices?tenant_id=acme&limit=1", None),
    (Platform, "POST", CHANGE, Some(r#"{"action":"rename","tenant_id":"acme","device_id":"<dev_1>","name":"phone"}"#)),
    (Other, "GET", DEVICES, None),
    (Other, "POST", CHANGE, Some(r#"{"action":"revoke","device_id":"<dev_1>"}"#)),
    (Other, "POST", CHANGE, Some(r#"{"action":"revoke","tenant_id":"acme","device_id":"<dev_1>"}"#)),
    (Other, "POST", BATCH, Some(r#"{"action":"revoke","device_ids":["<dev_1>"]}"#)),
    (Auditor, "GET", "/v1/admin/devices?limit=1", None),
    (Auditor, "POST", CHANGE, Some(r#"{"action":"revoke","device_id":"<dev_1>"}"#)),
    (Auditor, "POST", BATCH, Some(r#"{"action":"revoke","device_ids":["<dev_1>"]}"#)),
    // A user without an account has no devices.
    (User, "GET", DEVICES, None),
    (User, "POST", CHANGE, Some(r#"{"action":"revoke","device_id":"<dev_1>"}"#)),
    (Nobody, "POST", CHANGE, Some("{")),
];

/// The id of a tenant.
async fn tenant(server: &Server, slug: &str) -> Value {
    let tenants = server.admin().get("/v1/admin/tenants").await.json();
    let found = tenants["tenants"].as_array().unwrap().iter().find(|tenant| tenant["slug"] == slug);
    found.unwrap_or_else(|| panic!("{tenants}"))["id"].clone()
}

async fn post(http: &Http, path: &str, body: Value) -> Value {
    let answer = http.call(Method::POST, path, Some(&body.to_string())).await;
    assert!(matches!(answer.status, 200 | 201), "{path} {body}: {answer:?}");
    answer.json()
}

/// Enrolls a device in the tenant `acme`.
async fn enroll(db: &TestDb, server: &Server, mut of: Value) -> String {
    of["tenant_id"] = tenant(server, "acme").await;
    fleet::enroll(&fleet::connect(&db.url).await, "device", &of).await["id"].as_str().unwrap().to_owned()
}

async fn status(http: &Http, device: &str) -> String {
    let devices = http.get(&format!("{DEVICES}?limit=500")).await.json();
    let found = devices["devices"].as_array().unwrap().iter().find(|shown| shown["id"] == device);
    found.map_or_else(|| "none".to_owned(), |shown| shown["status"].as_str().unwrap().to_owned())
}

/// Whether the newest credential of a device is revoked.
async fn has_lost_access(http: &Http, device: &str) -> bool {
    let devices = http.get(&format!("{DEVICES}?limit=500")).await.json();
    let found = devices["devices"].as_array().unwrap().iter().find(|shown| shown["id"] == device).cloned();
    found.unwrap()["credential"]["revoked_at"].is_string()
}

both_databases! {
    async fn devices_answer_as_documented(db: TestDb) {
        let server = serve(&db).await;
        let ada = fleet::account(db.read(), "ada").await;
        enroll(&db, &server, json!({"name": "Phone", "user_id": ada, "platform": "ios", "seen": 5, "ephemeral": true})).await;
        enroll(&db, &server, json!({"name": "Desktop", "status": "pending_approval"})).await;
        enroll(&db, &server, json!({"name": "Kiosk", "status": "pending_approval", "seen": 900_000_000})).await;
        check("devices", &server, ABOUT_DEVICES).await;
    }

    async fn devices_are_suspended_reactivated_and_revoked_with_their_user(db: TestDb) {
        let server = serve(&db).await;
        let (admin, bob) = (http(&server, Admin).await, fleet::account(db.read(), "bob").await);
        let mut ids = Vec::new();
        for state in ["active", "active", "suspended", "pending_approval", "revoked"] {
            ids.push(enroll(&db, &server, json!({"user_id": bob, "status": state})).await);
        }
        let other = enroll(&db, &server, json!({})).await;
        let of = json!({"user_id": bob});
        assert_eq!(post(&admin, "/v1/admin/users/suspend", of.clone()).await["devices_suspended"], 2);
        assert_eq!(post(&admin, "/v1/admin/users/suspend", of.clone()).await["devices_suspended"], 0);
        // This one is suspended by itself from now on.
        post(&admin, CHANGE, json!({"action": "suspend", "device_id": ids[1]})).await;
        let refused = json!({"action": "reactivate", "device_id": ids[0]}).to_string();
        assert_eq!(admin.call(Method::POST, CHANGE, Some(&refused)).await.status, 409);
        let refused = json!({"action": "approve", "device_id": ids[3]}).to_string();
        assert_eq!(admin.call(Method::POST, CHANGE, Some(&refused)).await.status, 409);
        let tried = post(&admin, BATCH, json!({"action": "reactivate", "device_ids": [ids[0]], "dry_run": true})).await;
        assert_eq!((&tried["failed"], &tried["results"][0]["error"]), (&1.into(), &"conflict".into()), "{tried}");
        assert_eq!(post(&admin, "/v1/admin/users/reactivate", of.clone()).await["devices_reactivated"], 1);
        let mut states = Vec::new();
        for id in &ids {
            states.push(status(&admin, id).await);
        }
        assert_eq!(states, ["active", "suspended", "suspended", "pending_approval", "revoked"]);
        post(&admin, "/v1/admin/users/lifecycle", json!({"action": "delete", "user_id": bob})).await;
        for id in &ids[..4] {
            assert_eq!((status(&admin, id).await.as_str(), has_lost_access(&admin, id).await), ("revoked", true), "{id}");
        }
        assert_eq!(status(&admin, &other).await, "active");
    }

    async fn users_see_their_own_devices_and_change_none(db: TestDb) {
        let server = serve(&db).await;
        let (admin, bob) = (http(&server, Admin).await, fleet::account(db.read(), "bob").await);
        let own = enroll(&db, &server, json!({"user_id": bob})).await;
        enroll(&db, &server, json!({})).await;
        let password = json!({"user_id": bob, "password": "a long enough password"});
        post(&admin, "/v1/admin/users/password", password).await;
        post(&admin, "/v1/admin/users/lifecycle", json!({"action": "update", "user_id": bob, "role": "user"})).await;
        let login = json!({"tenant": "acme", "user": "bob", "password": "a long enough password"});
        let token = post(&server.http(), "/v1/admin/login", login).await["token"].as_str().unwrap().to_owned();
        let http = server.http().token(token);
        let listed = http.get(DEVICES).await.json();
        assert_eq!((&listed["total"], &listed["devices"][0]["id"]), (&1.into(), &own.clone().into()), "{listed}");
        assert_eq!(http.get(&format!("{DEVICES}?user_id=ada")).await.json()["total"], 0);
        assert_eq!(http.get(&format!("{DEVICES}?user_id=bob")).await.json()["total"], 1);
        let revoke = json!({"action": "revoke", "device_id": own}).to_string();
        assert_eq!(http.call(Method::POST, CHANGE, Some(&revoke)).await.status, 403);
    }

    async fn a_device_is_in_the_groups_of_its_user_and_of_its_token(db: TestDb) {
        let server = serve(&db).await;
        let (admin, bob) = (http(&server, Admin).await, fleet::account(db.read(), "bob").await);
        let group = json!({"action": "create", "name": "Ops", "user_ids": [bob]});
        let group = post(&admin, "/v1/admin/groups/lifecycle", group).await["group"]["id"].clone();
        let with_user = enroll(&db, &server, json!({"user_id": bob})).await;
        let by_itself = enroll(&db, &server, json!({"group_ids": [group]})).await;
        enroll(&db, &server, json!({})).await;
        let listed = admin.get(&format!("{DEVICES}?group_id={}", group.as_str().unwrap())).await.json();
        let ids: Vec<_> = listed["devices"].as_array().unwrap().iter().map(|device| device["id"].clone()).collect();
        assert_eq!(ids, [with_user, by_itself]);
    }

    async fn a_second_token_replaces_the_first_one_for_a_device(db: TestDb) {
        let server = serve(&db).await;
        let admin = http(&server, Admin).await;
        let device = enroll(&db, &server, json!({})).await;
        let again = json!({"action": "re_enroll", "device_id": device});
        let (one, two) = (post(&admin, CHANGE, again.clone()).await, post(&admin, CHANGE, again).await);
        let text = |answer: &Value| answer["enrollment_token"].as_str().unwrap().to_owned();
        assert!(text(&one).starts_with("tet_") && text(&one) != text(&two));
        let listed = admin.get(TOKENS).await.json();
        let shown = |at: usize| (listed["tokens"][at]["state"].clone(), listed["tokens"][at]["device_id"].clone());
        let device = Value::from(device);
        assert_eq!(shown(0), ("revoked".into(), device.clone()), "{listed}");
        assert_eq!(shown(1), ("active".into(), device.clone()));
        let device = device.as_str().unwrap();
        assert!(!has_lost_access(&admin, device).await);
        post(&admin, CHANGE, json!({"action": "force_reauth", "device_id": device})).await;
        assert!(has_lost_access(&admin, device).await);
        assert_eq!(status(&admin, device).await, "active");
    }

    async fn a_device_that_enrolls_again_keeps_its_id_name_and_status(db: TestDb) {
        let server = serve(&db).await;
        let admin = http(&server, Admin).await;
        let text = post(&admin, &format!("{TOKENS}/generate"), json!({"pre_approved": false})).await["token"].clone();
        let of = |text: &Value, name: &str| json!({"token": text, "device": {"name": name, "platform": "linux"}, "csr_pem": csr()});
        let device = post(&server.http(), "/v1/enroll", of(&text, "laptop")).await["device_id"].clone();
        post(&admin, CHANGE, json!({"action": "approve", "device_id": device})).await;
        let again = post(&admin, CHANGE, json!({"action": "re_enroll", "device_id": device})).await;
        let done = post(&server.http(), "/v1/enroll", of(&again["enrollment_token"], "other")).await;
        assert_eq!((&done["device_id"], &done["status"]), (&device, &"active".into()), "{done}");
        let listed = admin.get(DEVICES).await.json();
        let shown = &listed["devices"][0];
        assert_eq!((&listed["total"], &shown["name"]), (&1.into(), &"laptop".into()), "{listed}");
        assert_ne!(shown["credential"]["serial"], again["device"]["credential"]["serial"]);
        let tokens = admin.get(TOKENS).await.json();
        let path = format!("{TOKENS}/{}", tokens["tokens"][1]["id"].as_str().unwrap());
        assert_eq!(admin.get(&path).await.json()["uses"][0]["device_id"], device);
        // A revoked device does not come back.
        let last = post(&admin, CHANGE, json!({"action": "re_enroll", "device_id": device})).await;
        post(&admin, CHANGE, json!({"action": "revoke", "device_id": device})).await;
        let body = of(&last["enrollment_token"], "laptop").to_string();
        assert_eq!(server.http().call(Method::POST, "/v1/enroll", Some(&body)).await.status, 401);
    }

    async fn a_device_is_not_reactivated_beyond_the_limits(db: TestDb) {
        let server = serve(&db).await;
        let (admin, bob) = (http(&server, Admin).await, fleet::account(db.read(), "bob").await);
        let limit = async |limits: Value| {
            let change = json!({"action": "set_plan", "tenant_id": "acme", "plan": "unlimited", "overrides": limits});
            post(&server.admin(), "/v1/admin/tenants/lifecycle", change).await;
        };
        let device = enroll(&db, &server, json!({"user_id": bob, "status": "suspended"})).await;
        enroll(&db, &server, json!({"user_id": bob})).await;
        let change = json!({"action": "reactivate", "device_id": device});
        for resource in ["devices", "devices_per_user"] {
            limit(json!({resource: 1})).await;
            let refused = admin.call(Method::POST, CHANGE, Some(&change.to_string())).await;
            assert_eq!((refused.status, &refused.json()["error"]), (409, &"entitlement_exceeded".into()), "{refused:?}");
            assert_eq!(refused.json()["limit"], json!({"resource": resource, "limit": 1, "used": 2}), "{refused:?}");
            let tried = json!({"action": "reactivate", "device_ids": [device], "dry_run": true});
            assert_eq!(post(&admin, BATCH, tried).await["results"][0]["error"], "entitlement_exceeded");
        }
        limit(json!({"devices": 2, "devices_per_user": 2})).await;
        assert_eq!(post(&admin, CHANGE, change).await["device"]["status"], "active");
    }

    async fn a_token_shows_its_uses_and_takes_its_devices_with_it(db: TestDb) {
        let server = serve(&db).await;
        let admin = http(&server, Admin).await;
        let token = post(&admin, &format!("{TOKENS}/generate"), json!({})).await["token_id"].clone();
        let device = enroll(&db, &server, json!({"token_id": token})).await;
        let other = enroll(&db, &server, json!({})).await;
        let path = format!("{TOKENS}/{}", token.as_str().unwrap());
        let shown = admin.get(&path).await.json();
        let uses = shown["uses"].as_array().unwrap();
        assert_eq!((uses.len(), &uses[0]["device_id"], &uses[0]["gateway_id"]), (1, &device.clone().into(), &Value::Null));
        assert_eq!((uses[0]["at"].is_string(), &uses[0]["ip"]), (true, &"192.0.2.9".into()));
        post(&admin, &format!("{path}/revoke"), json!({})).await;
        assert_eq!(status(&admin, &device).await, "active");
        let revoke = json!({"revoke_devices": true});
        assert_eq!(post(&admin, &format!("{path}/revoke"), revoke.clone()).await["devices_revoked"], 1);
        assert_eq!(post(&admin, &format!("{path}/revoke"), revoke).await["devices_revoked"], 0);
        assert_eq!((status(&admin, &device).await.as_str(), has_lost_access(&admin, &device).await), ("revoked", true));
        assert_eq!(status(&admin, &other).await, "active");
    }

    async fn ephemeral_devices_are_deleted_after_a_day(db: TestDb) {
        const DAY: i64 = 86_400;
        let server = serve(&db).await;
        let admin = http(&server, Admin).await;
        let kept = [
            enroll(&db, &server, json!({"ephemeral": true, "seen": DAY - 60, "created": 9 * DAY})).await,
            enroll(&db, &server, json!({"ephemeral": true, "created": DAY - 60})).await,
            enroll(&db, &server, json!({"seen": 9 * DAY, "created": 9 * DAY})).await,
        ];
        let gone = [
            enroll(&db, &server, json!({"ephemeral": true, "seen": DAY + 60, "created": 9 * DAY})).await,
            enroll(&db, &server, json!({"ephemeral": true, "created": DAY + 60})).await,
        ];
        let run = Setup::dev().database(&db.url).run(&["jobs", "run", "device-pruning"]).await;
        assert!(run.status.success(), "{run:?}");
        eventually("the deletion", async || (status(&admin, &gone[1]).await == "none").then_some(())).await;
        assert_eq!(status(&admin, &gone[0]).await, "none");
        for id in &kept {
            assert_eq!(status(&admin, id).await, "active");
        }
        let revoked = "SELECT COUNT(*) AS n FROM credentials WHERE revoked_at IS NOT NULL";
        let query = sea_orm::Statement::from_string(db.backend(), revoked);
        let row = sea_orm::ConnectionTrait::query_one_raw(db.read(), query).await.unwrap().unwrap();
        assert_eq!(row.try_get::<i64>("", "n").unwrap(), 2);
    }

    async fn five_hundred_devices_are_changed_at_once_and_one_more_is_refused(db: TestDb) {
        let server = serve(&db).await;
        let admin = http(&server, Admin).await;
        let many: Vec<_> = (0..501).map(|n| format!("dev_{n}")).collect();
        let body = json!({"action": "suspend", "device_ids": many}).to_string();
        assert_eq!(admin.call(Method::POST, BATCH, Some(&body)).await.status, 422);
        let of = json!({"tenant_id": tenant(&server, "acme").await});
        let rows = fleet::connect(&db.url).await;
        for _ in 0..500 {
            fleet::enroll(&rows, "device", &of).await;
        }
        let body = json!({"action": "suspend", "filter": {}, "expected_count": 500});
        let done = post(&admin, BATCH, body.clone()).await;
        assert_eq!((&done["succeeded"], &done["failed"]), (&500.into(), &0.into()));
        assert_eq!(admin.get(&format!("{DEVICES}?status=suspended")).await.json()["total"], 500);
        fleet::enroll(&rows, "device", &of).await;
        assert_eq!(admin.call(Method::POST, BATCH, Some(&body.to_string())).await.status, 422);
    }
}
