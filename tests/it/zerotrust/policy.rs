//! Policies over REST: every documented response, in one conversation that is the same on both databases.

use reqwest::Method;
use serde_json::{Value, json};

use super::conversation::{
    Line,
    Who::{self, Admin, Auditor, Network, Nobody, Operator, Other, Platform, User},
    check, device, http, serve,
};

const PUBLISH: &str = "/v1/admin/policy/publish";
const VERSIONS: &str = "/v1/admin/policy/versions";
const GROUPS: &str = "/v1/admin/groups/lifecycle";
const POOLS: &str = "/v1/admin/settings/gateway-pools";

#[rustfmt::skip]
const ABOUT_POLICIES: &[Line] = &[
    // The first version of the tenant.
    (Admin, "GET", VERSIONS, None),
    (Admin, "GET", "/v1/admin/devices", None),
    (Admin, "POST", GROUPS, Some(r#"{"action":"create","name":"Ops"}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"create","name":"eu"}"#)),
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"stable","policy":{"tunnel_mode":"split","default_access":"deny","min_auth_mode":"B","routes":[{"id":"intranet","cidr":"10.0.0.0/8","protocol":"tcp","ports":"443","action":"allow"},{"id":"lab","cidr":"10.9.0.0/16","protocol":"udp","ports":"8000-9000","action":"deny"},{"id":"dns","cidr":"10.0.0.53","action":"allow"}],"dns":{"servers":["10.0.0.53"],"match_domains":["corp.example"]},"kill_switch":true,"gateway_pools":["<pool_1>"],"posture":{"required":["disk_encrypted"],"max_age_seconds":3600,"on_fail":"block"},"session":{"max_seconds":43200,"idle_seconds":1800,"reauth_seconds":86400},"conditions":{"countries_allow":["DE"],"time_windows":[{"days":["mon","fri"],"start":"08:00","end":"18:00"}]},"refresh_seconds":300,"min_client_version":"1.4.0"},"notes":"the first one","expires_in_seconds":86400,"expected_base_version":0}"#)),
    (Admin, "GET", VERSIONS, None),
    (Admin, "GET", "/v1/admin/policy/versions/1", None),
    // A dry run publishes nothing; it warns and compares.
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"stable","dry_run":true,"policy":{"default_access":"allow","routes":[{"id":"intranet","cidr":"10.0.0.0/8","action":"allow"},{"id":"all","cidr":"10.0.0.0/8","action":"deny"}],"gateway_pools":[]}}"#)),
    (Admin, "GET", "/v1/admin/policy/versions/2", None),
    // Sections that are absent, empty or null.
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"stable","scope":{"type":"group","id":"<grp_1>"},"priority":7,"policy":{"routes":[],"gateway_pools":null,"kill_switch":false},"expected_base_version":1}"#)),
    (Admin, "GET", "/v1/admin/policy/versions/2", None),
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"stable","scope":{"type":"device","id":"<dev_1>"},"policy":{}}"#)),
    (Admin, "GET", "/v1/admin/policy/versions/3", None),
    // A canary, its replacement, its promotion, and a rollback: each has a new number.
    (Network, "POST", PUBLISH, Some(r#"{"channel":"canary","policy":{"refresh_seconds":60},"canary":{"percent":10}}"#)),
    (Network, "POST", PUBLISH, Some(r#"{"channel":"canary","from_version":4,"canary":{"percent":30,"group_ids":["<grp_1>"],"device_ids":["<dev_1>"]}}"#)),
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"stable","from_version":5,"notes":"promoted"}"#)),
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"stable","from_version":1,"notes":"rolled back","scope":{"type":"tenant"}}"#)),
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"stable","from_version":2}"#)),
    (Admin, "GET", "/v1/admin/policy/versions?limit=5", None),
    (Admin, "GET", "/v1/admin/policy/versions/7", None),
    (Admin, "GET", "/v1/admin/policy/versions/8", None),
    // Violated rules.
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"stable","policy":{},"expected_base_version":7}"#)),
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"stable","policy":{"routes":[{"id":"a","cidr":"10.0.0.0/8","action":"allow"},{"id":"b","cidr":"10.0.0.1/8","action":"allow"},{"id":"a","cidr":"10.0.0.0/8","protocol":"any","ports":"443","action":"maybe"},{"id":"","cidr":"corp","protocol":"icmp","ports":"9-8","action":""}]}}"#)),
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"stable","policy":{"tunnel_mode":"half","default_access":"maybe","min_auth_mode":"E","dns":{"servers":["dns"],"match_domains":["a b"]},"posture":{"required":["fax"],"max_age_seconds":1,"on_fail":"shout"},"session":{"max_seconds":1,"idle_seconds":1,"reauth_seconds":1},"conditions":{"countries_allow":["DEU"],"time_windows":[{"days":["day"],"start":"8","end":"08:00"}]},"refresh_seconds":59,"min_client_version":"1.4"}}"#)),
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"stable","policy":{"gateway_pools":["<pool_1>","pool_01J7ST8Z0GFCQ9TCATDDY8V7GF","eu"]}}"#)),
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"stable","policy":{"gateway_pools":["<pool_1>","pool_01J7ST8Z0GFCQ9TCATDDY8V7GF"]}}"#)),
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"stable","policy":{},"scope":{"type":"group","id":"grp_01J7ST8Z0GFCQ9TCATDDY8V7GF"}}"#)),
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"stable","policy":{},"scope":{"type":"group"}}"#)),
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"stable","policy":{},"scope":{"type":"global"}}"#)),
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"stable","policy":{},"scope":{"type":"tenant","id":"other"}}"#)),
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"stable","policy":{},"scope":{"type":"device","id":"laptop"}}"#)),
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"stable","policy":{},"scope":{"type":"device","id":"dev_01J7ST8Z0GFCQ9TCATDDY8V7GF"}}"#)),
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"canary","policy":{},"canary":{"device_ids":["<dev_1>","dev_01J7ST8Z0GFCQ9TCATDDY8V7GF"]}}"#)),
    (Other, "POST", PUBLISH, Some(r#"{"channel":"stable","policy":{},"scope":{"type":"device","id":"<dev_1>"}}"#)),
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"stable","policy":{},"priority":1}"#)),
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"stable","policy":{},"canary":{"percent":1}}"#)),
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"canary","policy":{}}"#)),
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"canary","policy":{},"canary":{"percent":101}}"#)),
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"canary","policy":{},"canary":{"group_ids":["grp_01J7ST8Z0GFCQ9TCATDDY8V7GF"]}}"#)),
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"stable","from_version":99}"#)),
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"stable","from_version":2,"scope":{"type":"tenant"}}"#)),
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"stable","from_version":2,"policy":{}}"#)),
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"stable"}"#)),
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"beta","policy":{}}"#)),
    (Admin, "POST", PUBLISH, Some(r#"{"policy":{}}"#)),
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"stable","policy":{},"expires_in_seconds":60}"#)),
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"stable","policy":{"routes":[{"id":"a","colour":"red"}]}}"#)),
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"stable","policy":{"kill_switch":"yes"}}"#)),
    (Admin, "POST", PUBLISH, None),
    (Admin, "GET", PUBLISH, None),
    (Admin, "GET", "/v1/admin/policy/versions/0", None),
    (Admin, "GET", "/v1/admin/policy/versions/latest", None),
    // Pages.
    (Admin, "GET", "/v1/admin/policy/versions?limit=1", None),
    (Admin, "GET", "/v1/admin/policy/versions?limit=0", None),
    (Admin, "GET", "/v1/admin/policy/versions?cursor=garbage", None),
    // A group with an active policy is only deleted with force.
    (Admin, "POST", GROUPS, Some(r#"{"action":"delete","group_id":"<grp_1>"}"#)),
    (Admin, "POST", GROUPS, Some(r#"{"action":"delete","group_id":"<grp_1>","force":true}"#)),
    // Tenants and permissions.
    (Network, "POST", PUBLISH, Some(r#"{"channel":"stable","policy":{}}"#)),
    (Network, "POST", PUBLISH, Some(r#"{"channel":"stable","policy":{},"dry_run":true}"#)),
    (Platform, "GET", VERSIONS, None),
    (Platform, "GET", "/v1/admin/policy/versions?tenant_id=acme&limit=1", None),
    (Platform, "POST", PUBLISH, Some(r#"{"tenant_id":"acme","channel":"stable","policy":{}}"#)),
    (Platform, "POST", PUBLISH, Some(r#"{"channel":"stable","policy":{}}"#)),
    (Other, "GET", VERSIONS, None),
    (Other, "GET", "/v1/admin/policy/versions/1", None),
    (Other, "POST", PUBLISH, Some(r#"{"channel":"stable","policy":{"gateway_pools":["<pool_1>"]}}"#)),
    (Other, "POST", PUBLISH, Some(r#"{"channel":"stable","from_version":1}"#)),
    (Other, "POST", PUBLISH, Some(r#"{"tenant_id":"acme","channel":"stable","policy":{}}"#)),
    (Auditor, "GET", "/v1/admin/policy/versions?limit=1", None),
    (Auditor, "POST", PUBLISH, Some(r#"{"channel":"canary","policy":{},"canary":{"percent":1}}"#)),
    (Operator, "GET", "/v1/admin/policy/versions?limit=1", None),
    (Operator, "POST", PUBLISH, Some(r#"{"channel":"canary","policy":{},"canary":{"percent":1}}"#)),
    (User, "GET", VERSIONS, None),
    (Nobody, "POST", PUBLISH, Some("{")),
];

/// A policy with this number of routes.
fn with_routes(count: usize) -> Value {
    let route = |at: usize| {
        json!({"id": format!("r{at}"), "cidr": format!("10.{}.{}.0/24", at / 256, at % 256), "protocol": "tcp",
            "ports": "8000-9000", "action": "allow"})
    };
    json!({"channel": "stable", "policy": {"routes": (0..count).map(route).collect::<Vec<_>>()}})
}

both_databases! {
    async fn policies_answer_as_documented(db: TestDb) {
        let server = serve(&db).await;
        // Its bucket is 97: it is outside of each percentage.
        device(&db, &server, json!({"name": "laptop", "id": "01900000-0000-7000-8000-000000000001"})).await;
        check("policy", &server, ABOUT_POLICIES).await;
    }

    async fn a_policy_has_at_most_two_thousand_routes(db: TestDb) {
        let server = serve(&db).await;
        let admin = http(&server, Who::Admin).await;
        let published = admin.call(Method::POST, PUBLISH, Some(&with_routes(2000).to_string())).await;
        assert_eq!(published.status, 201, "{published:?}");
        assert_eq!(published.json()["diff"]["added"].as_array().unwrap().len(), 2001, "the section and its routes");
        let read = admin.get("/v1/admin/policy/versions/1").await.json();
        assert_eq!(read["version"]["policy"], with_routes(2000)["policy"]);
        let again = json!({"channel": "stable", "policy": read["version"]["policy"]});
        let again = admin.call(Method::POST, PUBLISH, Some(&again.to_string())).await.json();
        assert_eq!(again["digest"], published.json()["digest"], "what is read can be written back");
        assert_eq!(again["diff"], json!({"added": [], "removed": [], "changed": []}));
        let refused = admin.call(Method::POST, PUBLISH, Some(&with_routes(2001).to_string())).await;
        assert_eq!(refused.status, 422, "{refused:?}");
        assert_eq!(refused.json()["fields"], json!({"policy.routes": "must have at most 2000 items"}));
    }
}
