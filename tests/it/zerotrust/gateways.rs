//! Gateways over REST: every documented response, in one conversation that is the same on both databases.

use serde_json::{Value, json};

use super::conversation::{
    Line,
    Who::{Admin, Auditor, Nobody, Operator, Other, Platform, User},
    check, http, serve,
};
use crate::harness::fleet;

const GATEWAYS: &str = "/v1/admin/gateways";
const CHANGE: &str = "/v1/admin/gateways/lifecycle";
const POOLS: &str = "/v1/admin/settings/gateway-pools";

#[rustfmt::skip]
const ABOUT_GATEWAYS: &[Line] = &[
    (Admin, "GET", GATEWAYS, None),
    (Admin, "GET", POOLS, None),
    (Admin, "GET", "/v1/admin/gateways?pool_id=<pool_2>", None),
    (Admin, "GET", "/v1/admin/gateways?pool_id=<pool_1>&limit=1", None),
    (Admin, "GET", "/v1/admin/gateways?pool_id=eu", None),
    (Admin, "GET", "/v1/admin/gateways?limit=0", None),
    (Admin, "GET", "/v1/admin/gateways?cursor=garbage", None),
    // Disable and enable.
    (Admin, "POST", CHANGE, Some(r#"{"action":"disable","gateway_id":"<gw_1>","if_version":1,"reason":"maintenance"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"disable","gateway_id":"<gw_1>"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"enable","gateway_id":"<gw_1>","if_version":1}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"enable","gateway_id":"<gw_1>"}"#)),
    // The last online gateway of a pool is not drained by mistake.
    (Admin, "POST", CHANGE, Some(r#"{"action":"drain","gateway_id":"<gw_1>"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"drain","gateway_id":"<gw_2>","drain_seconds":86400}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"drain","gateway_id":"<gw_2>","drain_seconds":0,"force":true}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"undrain","gateway_id":"<gw_2>"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"undrain","gateway_id":"<gw_1>"}"#)),
    // The end.
    (Admin, "POST", CHANGE, Some(r#"{"action":"revoke","gateway_id":"<gw_3>"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"revoke","gateway_id":"<gw_3>"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"enable","gateway_id":"<gw_3>"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"delete","gateway_id":"<gw_3>"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"delete","gateway_id":"<gw_3>"}"#)),
    // A pool is not deleted under a running gateway; the others are revoked with it.
    (Admin, "POST", POOLS, Some(r#"{"action":"delete","pool_id":"<pool_1>"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"revoke","gateway_id":"<gw_1>"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"revoke","gateway_id":"<gw_2>"}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"update","pool_id":"<pool_1>","region":"eu"}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"delete","pool_id":"<pool_1>"}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"delete","pool_id":"<pool_2>"}"#)),
    (Admin, "GET", GATEWAYS, None),
    // Violated rules.
    (Admin, "POST", CHANGE, Some(r#"{"action":"disable"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"disable","gateway_id":"gw_1"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"disable","gateway_id":"<gw_1>","force":true}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"drain","gateway_id":"<gw_1>","drain_seconds":86401}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"explode","gateway_id":"<gw_1>"}"#)),
    (Admin, "POST", CHANGE, None),
    (Admin, "DELETE", GATEWAYS, None),
    // Tenants and permissions.
    (Platform, "GET", GATEWAYS, None),
    (Platform, "GET", "/v1/admin/gateways?tenant_id=acme&limit=1", None),
    (Platform, "POST", CHANGE, Some(r#"{"action":"delete","tenant_id":"acme","gateway_id":"<gw_2>"}"#)),
    (Other, "GET", GATEWAYS, None),
    (Other, "POST", CHANGE, Some(r#"{"action":"delete","gateway_id":"<gw_1>"}"#)),
    (Other, "POST", CHANGE, Some(r#"{"action":"delete","tenant_id":"acme","gateway_id":"<gw_1>"}"#)),
    (Auditor, "GET", "/v1/admin/gateways?limit=1", None),
    (Auditor, "POST", CHANGE, Some(r#"{"action":"delete","gateway_id":"<gw_1>"}"#)),
    (Operator, "POST", CHANGE, Some(r#"{"action":"disable","gateway_id":"<gw_1>"}"#)),
    (User, "GET", GATEWAYS, None),
    (Nobody, "POST", CHANGE, Some("{")),
];

both_databases! {
    async fn gateways_answer_as_documented(db: TestDb) {
        let server = serve(&db).await;
        let admin = http(&server, Admin).await;
        let mut pools = Vec::new();
        for name in ["eu", "us"] {
            let body = json!({"action": "create", "name": name}).to_string();
            let pool = admin.call(reqwest::Method::POST, POOLS, Some(&body)).await.json();
            pools.push(pool["pool"].clone());
        }
        let tenant = &pools[0]["tenant_id"];
        // Seen long enough from now, and not too long ago, for a slow test.
        let online = -600;
        let rows = fleet::connect(&db.url).await;
        for (name, pool, seen) in [
            ("online", 0, Some(online)),
            ("also online", 0, Some(online)),
            ("offline", 0, Some(600)),
            ("registered", 1, None),
        ] {
            let of = json!({"tenant_id": tenant, "name": name, "pool_id": pools[pool]["id"], "seen": seen});
            let _: Value = fleet::enroll(&rows, "gateway", &of).await;
        }
        check("gateways", &server, ABOUT_GATEWAYS).await;
    }
}
