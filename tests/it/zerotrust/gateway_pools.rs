//! Gateway pools over REST: every documented response, in one conversation that is the same on both databases.

use super::conversation::{
    Line,
    Who::{Admin, Auditor, Nobody, Operator, Other, Platform, User},
    check, serve,
};

const POOLS: &str = "/v1/admin/settings/gateway-pools";
const GROUPS: &str = "/v1/admin/groups/lifecycle";

#[rustfmt::skip]
const ABOUT_POOLS: &[Line] = &[
    // From creation to deletion.
    (Admin, "GET", POOLS, None),
    (Admin, "POST", GROUPS, Some(r#"{"action":"create","name":"Ops"}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"create","name":"eu","region":"eu-central","selection":"weighted","weight":10,"priority":3,"max_sessions":5000,"allowed_group_ids":["<grp_1>"],"virtual_cidr":"100.64.0.0/10","dns_servers":["10.0.0.53"]}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"create","name":"us"}"#)),
    (Admin, "GET", POOLS, None),
    (Admin, "POST", POOLS, Some(r#"{"action":"update","pool_id":"<pool_1>","name":"Europe","if_version":1}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"update","pool_id":"<pool_1>","name":"x","if_version":1}"#)),
    (Admin, "PUT", POOLS, Some(r#"{"action":"update","pool_id":"<pool_1>","weight":11}"#)),
    // An empty list is set, null is not; a mask resets what is not there.
    (Admin, "POST", POOLS, Some(r#"{"action":"update","pool_id":"<pool_1>","allowed_group_ids":[],"max_sessions":null}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"update","pool_id":"<pool_1>","update_mask":"maxSessions,virtualCidr,dnsServers"}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"update","pool_id":"<pool_1>","weight":7,"priority":9,"update_mask":"priority"}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"drain","pool_id":"<pool_1>","drain_seconds":86400}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"drain","pool_id":"<pool_1>","drain_seconds":0}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"undrain","pool_id":"<pool_1>"}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"delete","pool_id":"<pool_1>","if_version":1}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"delete","pool_id":"<pool_1>"}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"delete","pool_id":"<pool_1>"}"#)),
    // A deleted group stays in the list, so that the pool does not open for all.
    (Admin, "POST", POOLS, Some(r#"{"action":"update","pool_id":"<pool_2>","allowed_group_ids":["<grp_1>","<grp_1>"]}"#)),
    (Admin, "POST", GROUPS, Some(r#"{"action":"delete","group_id":"<grp_1>"}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"update","pool_id":"<pool_2>","region":"us-east","allowed_group_ids":["<grp_1>"]}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"create","name":"x","allowed_group_ids":["<grp_1>"]}"#)),
    // Violated rules.
    (Admin, "POST", POOLS, Some(r#"{"action":"create","name":"US"}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"create"}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"create","name":" "}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"create","name":"x","selection":"nearest"}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"create","name":"x","weight":0}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"create","name":"x","priority":1001}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"create","name":"x","max_sessions":0}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"create","name":"x","virtual_cidr":"10.0.0.1/8"}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"create","name":"x","dns_servers":["dns.example.com"]}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"create","name":"x","allowed_group_ids":["ops"]}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"create","name":"x","pool_id":"<pool_2>"}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"update","name":"x"}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"update","pool_id":"pool_1","name":"x"}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"drain","pool_id":"<pool_2>","drain_seconds":86401}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"undrain","pool_id":"<pool_2>","drain_seconds":1}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"explode","pool_id":"<pool_2>"}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"create","name":"x","colour":"red"}"#)),
    (Admin, "POST", POOLS, None),
    (Admin, "DELETE", POOLS, None),
    // Pages.
    (Admin, "POST", POOLS, Some(r#"{"action":"create","name":"third"}"#)),
    (Admin, "GET", "/v1/admin/settings/gateway-pools?limit=1", None),
    (Admin, "GET", "/v1/admin/settings/gateway-pools?limit=0", None),
    (Admin, "GET", "/v1/admin/settings/gateway-pools?cursor=garbage", None),
    // Tenants and permissions.
    (Platform, "GET", POOLS, None),
    (Platform, "GET", "/v1/admin/settings/gateway-pools?tenant_id=acme&limit=1", None),
    (Platform, "POST", POOLS, Some(r#"{"action":"create","tenant_id":"acme","name":"from above"}"#)),
    (Other, "GET", POOLS, None),
    (Other, "POST", POOLS, Some(r#"{"action":"update","pool_id":"<pool_2>","name":"mine"}"#)),
    (Other, "POST", POOLS, Some(r#"{"action":"delete","tenant_id":"acme","pool_id":"<pool_2>"}"#)),
    (Auditor, "GET", "/v1/admin/settings/gateway-pools?limit=1", None),
    (Auditor, "POST", POOLS, Some(r#"{"action":"create","name":"x"}"#)),
    (Operator, "POST", POOLS, Some(r#"{"action":"create","name":"x"}"#)),
    (User, "GET", POOLS, None),
    (Nobody, "POST", POOLS, Some("{")),
];

both_databases! {
    async fn gateway_pools_answer_as_documented(db: TestDb) {
        let server = serve(&db).await;
        check("gateway_pools", &server, ABOUT_POOLS).await;
    }
}
