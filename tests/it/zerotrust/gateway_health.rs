//! The health of gateways, by the rules that make it, on both databases.

use serde_json::{Value, json};

use super::{
    conversation::{
        Who::{self, Admin, Auditor, Nobody, Other, Platform, User},
        http,
    },
    gateway_calls::{Enrolled, METERING, act, ago, enroll, pool_and_gateway, publish, report},
};
use crate::{
    db::TestDb,
    harness::server::{Server, Setup},
    rows::{sql, tenant},
};

const HEALTH: &str = "/v1/admin/gateway/health";
const GATEWAYS: &str = "/v1/admin/gateways";

async fn serve(db: &TestDb, heartbeat: &str) -> Server {
    tenant(db, "acme").await;
    tenant(db, "other").await;
    Setup::dev().database(&db.url).env("TENANTRY_GATEWAY_HEARTBEAT", heartbeat).start().await
}

async fn read(server: &Server, who: Who, path: &str) -> Value {
    let answer = http(server, who).await.get(path).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// The state and the reasons of the only gateway, on which both lists agree.
async fn state(server: &Server) -> (String, Vec<String>) {
    let (health, listed) = (read(server, Admin, HEALTH).await, read(server, Admin, GATEWAYS).await);
    let shown = &health["gateways"][0];
    assert_eq!(
        (shown["state"].as_str(), &shown["reasons"]),
        (listed["gateways"][0]["state"].as_str(), &listed["gateways"][0]["reasons"])
    );
    let state = shown["state"].as_str().unwrap().to_owned();
    assert_eq!(health["summary"][&state], 1, "{health}");
    let sum: i64 = health["summary"].as_object().unwrap().values().map(|count| count.as_i64().unwrap()).sum();
    assert_eq!(sum, 1, "{health}");
    let reasons = shown["reasons"].as_array().unwrap().iter().map(|reason| reason.as_str().unwrap().to_owned());
    (state, reasons.collect())
}

/// A report of a gateway that has applied everything.
fn good(sequence: i64, gateway: &Enrolled, policy: i64) -> Value {
    let mut body = report(&format!("r{sequence}"), sequence, json!([]));
    body["applied"] = json!({"policy_version": policy, "anchors_sequence": gateway.anchors.sequence, "spc_sequence": 3,
        "config_version": 4});
    body
}

async fn send(server: &Server, gateway: &Enrolled, body: &Value) {
    let answer = gateway.post(server, METERING, body).await;
    assert_eq!(answer.status, 202, "{answer:?}");
}

fn degraded(reason: &str) -> (String, Vec<String>) {
    ("degraded".to_owned(), vec![reason.to_owned()])
}

fn is(state: &str) -> (String, Vec<String>) {
    (state.to_owned(), vec![])
}

both_databases! {
    async fn each_cause_degrades_a_gateway(db: TestDb) {
        let server = serve(&db, "30s").await;
        let (pool, gateway) = pool_and_gateway(&server).await;
        assert_eq!(state(&server).await, is("registered"));
        let version = publish(&server, json!({})).await;
        send(&server, &gateway, &good(1, &gateway, version)).await;
        assert_eq!(state(&server).await, is("online"));
        let shown = read(&server, Admin, HEALTH).await["gateways"][0].clone();
        assert_eq!(shown["applied"], good(1, &gateway, version)["applied"]);
        assert_eq!(shown["load"], json!({"sessions": 1, "max_sessions": null, "cpu": 0.5, "mem": 0.25, "mbps": 12.5}));
        assert_eq!((&shown["config_drift"], &shown["cert_days_left"]), (&json!(false), &json!(0)), "{shown}");
        // A new policy, at first and after two polls.
        let next = publish(&server, json!({"kill_switch": true})).await;
        assert_eq!(state(&server).await, is("online"));
        assert_eq!(read(&server, Admin, HEALTH).await["gateways"][0]["config_drift"], true);
        sql(&db, "UPDATE policies SET published_at = published_at - 21000000".to_owned()).await.unwrap();
        assert_eq!(state(&server).await, degraded("policy_behind"));
        send(&server, &gateway, &good(2, &gateway, next)).await;
        assert_eq!(state(&server).await, is("online"));
        let with = |sequence: i64, pointer: &str, value: Value| {
            let mut body = good(sequence, &gateway, next);
            *body.pointer_mut(pointer).unwrap() = value;
            body
        };
        for (sequence, pointer, value, reason) in [
            (3, "/applied/anchors_sequence", json!(0), "anchors_behind"),
            (4, "/window_end", json!(ago(-40)), "clock_skew"),
            (5, "/totals/cpu", json!(0.95), "overloaded"),
            (6, "/totals/mem", json!(1), "overloaded"),
        ] {
            send(&server, &gateway, &with(sequence, pointer, value)).await;
            assert_eq!(state(&server).await, degraded(reason), "{pointer}");
        }
        // A report that comes late does not hide a later one.
        send(&server, &gateway, &good(3, &gateway, next)).await;
        send(&server, &gateway, &{ let mut late = good(5, &gateway, next); late["report_id"] = json!("late"); late }).await;
        assert_eq!(state(&server).await, degraded("overloaded"));
        send(&server, &gateway, &with(7, "/applied", json!({}))).await;
        assert_eq!(state(&server).await.1, ["policy_behind", "anchors_behind"]);
        let body = json!({"action": "update", "pool_id": pool, "max_sessions": 10});
        act(&server, Admin, "/v1/admin/settings/gateway-pools", body).await;
        send(&server, &gateway, &with(8, "/totals/active_sessions", json!(10))).await;
        assert_eq!(state(&server).await, degraded("overloaded"));
        send(&server, &gateway, &good(9, &gateway, next)).await;
        sql(&db, "UPDATE credentials SET not_after = not_before + 4000000000, not_before = not_before - 90000000000".to_owned()).await.unwrap();
        assert_eq!(state(&server).await, degraded("certificate_expiring"));
        sql(&db, "UPDATE credentials SET not_before = not_before + 90000000000".to_owned()).await.unwrap();
        // What it refuses on its stream, until it has applied a newer one.
        let refused = "INSERT INTO gateway_materials (tenant_id, gateway_id, material, applied_number, refused_number, \
                       refused_code, refused_detail) SELECT tenant_id, id, 'gateway-policy', 1, 99, 'malformed', '' FROM gateways";
        sql(&db, refused.to_owned()).await.unwrap();
        assert_eq!(state(&server).await, degraded("material_refused"));
        sql(&db, "UPDATE gateway_materials SET applied_number = 99".to_owned()).await.unwrap();
        // The wish of its operators comes first.
        for (action, expected) in [("drain", "draining"), ("undrain", "online"), ("disable", "disabled"), ("enable", "online")] {
            let mut body = json!({"action": action, "gateway_id": gateway.id});
            if action == "drain" {
                body["force"] = json!(true);
            }
            let done = act(&server, Admin, "/v1/admin/gateways/lifecycle", body).await;
            assert_eq!((done["gateway"]["state"].as_str(), state(&server).await.0.as_str()), (Some(expected), expected));
        }
        act(&server, Admin, "/v1/admin/gateways/lifecycle", json!({"action": "revoke", "gateway_id": gateway.id})).await;
        let health = read(&server, Admin, HEALTH).await;
        assert_eq!((health["gateways"].as_array().unwrap().len(), &health["summary"]["online"]), (0, &json!(0)));
    }

    async fn a_gateway_is_offline_after_three_intervals(db: TestDb) {
        let server = serve(&db, "3s").await;
        let (_, gateway) = pool_and_gateway(&server).await;
        send(&server, &gateway, &good(1, &gateway, 0)).await;
        assert_eq!(state(&server).await, is("online"));
        // It may become offline between the two lists.
        let offline = async || read(&server, Admin, HEALTH).await["summary"]["offline"] == 1;
        crate::harness::eventually("the gateway to be offline", async || offline().await.then_some(())).await;
        assert_eq!(state(&server).await, is("offline"));
        send(&server, &gateway, &good(2, &gateway, 0)).await;
        assert_eq!(state(&server).await, is("online"));
    }

    async fn those_who_read_gateways_read_their_health(db: TestDb) {
        let server = serve(&db, "30s").await;
        let (pool, _) = pool_and_gateway(&server).await;
        let (_, second) = pool_and_gateway(&server).await;
        let one = read(&server, Auditor, &format!("{HEALTH}?pool_id={pool}")).await;
        assert_eq!((one["gateways"].as_array().unwrap().len(), &one["summary"]["registered"]), (1, &json!(1)), "{one}");
        assert_eq!(read(&server, Platform, &format!("{HEALTH}?tenant_id=acme")).await["gateways"][1]["id"], second.id);
        assert_eq!(read(&server, Other, HEALTH).await["gateways"], json!([]));
        let status = async |who: Who, path: &str| http(&server, who).await.get(path).await.status;
        assert_eq!(status(Platform, HEALTH).await, 422);
        assert_eq!(status(Other, &format!("{HEALTH}?tenant_id=acme")).await, 403);
        assert_eq!(status(Admin, &format!("{HEALTH}?pool_id=eu")).await, 422);
        assert_eq!((status(User, HEALTH).await, status(Nobody, HEALTH).await), (403, 401));
        let device = enroll(&server, "device", json!({})).await;
        assert_eq!(device.get(&server, HEALTH).await.status, 401);
    }
}
