//! Explanations of policies over REST: every documented response, in one conversation that is the same on both databases.

use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::json;
use tenantry::store::tables::audit_events;

use super::{
    conversation::{
        Line,
        Who::{Admin, Auditor, Network, Nobody, Other, Platform, User},
        check, device, http, serve,
    },
    enrolled::{admin, post},
};
use crate::{harness::fleet, rows::sql};

const EXPLAIN: &str = "/v1/admin/policy/explain";
const PUBLISH: &str = "/v1/admin/policy/publish";
const GROUPS: &str = "/v1/admin/groups/lifecycle";

#[rustfmt::skip]
const ABOUT_EXPLANATIONS: &[Line] = &[
    (Admin, "GET", "/v1/admin/devices", None),
    (Admin, "POST", EXPLAIN, Some(r#"{"device_id":"<dev_1>","destination":"10.0.0.1","protocol":"tcp","port":443}"#)),
    (Admin, "POST", EXPLAIN, Some(r#"{"device_id":"<dev_2>","destination":"10.0.0.1"}"#)),
    // Rules of the tenant, and what no rule matches.
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"stable","policy":{"routes":[{"id":"intranet","cidr":"10.0.0.0/8","protocol":"tcp","ports":"443","action":"allow"},{"id":"lab","cidr":"10.9.0.0/16","protocol":"any","action":"deny"},{"id":"six","cidr":"2001:db8::/32","protocol":"any","action":"allow"}]}}"#)),
    (Admin, "POST", EXPLAIN, Some(r#"{"device_id":"<dev_1>","destination":"10.0.0.1","protocol":"tcp","port":443}"#)),
    (Admin, "POST", EXPLAIN, Some(r#"{"device_id":"<dev_1>","destination":"::ffff:10.0.0.1","protocol":"tcp","port":443}"#)),
    (Admin, "POST", EXPLAIN, Some(r#"{"device_id":"<dev_1>","destination":"10.9.0.1","protocol":"tcp","port":443}"#)),
    (Admin, "POST", EXPLAIN, Some(r#"{"device_id":"<dev_1>","destination":"10.0.0.1","protocol":"tcp"}"#)),
    (Admin, "POST", EXPLAIN, Some(r#"{"device_id":"<dev_1>","destination":"2001:db8::1"}"#)),
    (Admin, "POST", EXPLAIN, Some(r#"{"device_id":"<dev_1>","destination":"192.0.2.1","protocol":"udp","port":53}"#)),
    // A group of its user, a canary, and the device itself.
    (Admin, "POST", GROUPS, Some(r#"{"action":"create","name":"Ops","user_ids":["ada"]}"#)),
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"stable","scope":{"type":"group","id":"<grp_1>"},"policy":{"default_access":"allow"}}"#)),
    (Admin, "POST", EXPLAIN, Some(r#"{"device_id":"<dev_1>","destination":"192.0.2.1","protocol":"udp","port":53}"#)),
    (Admin, "POST", EXPLAIN, Some(r#"{"device_id":"<dev_3>","destination":"192.0.2.1","protocol":"udp","port":53}"#)),
    (Network, "POST", PUBLISH, Some(r#"{"channel":"canary","canary":{"device_ids":["<dev_1>"]},"policy":{"routes":[{"id":"web","cidr":"10.0.0.0/8","action":"deny"}]}}"#)),
    (Admin, "POST", EXPLAIN, Some(r#"{"device_id":"<dev_1>","destination":"10.0.0.1","protocol":"tcp","port":443}"#)),
    (Admin, "POST", EXPLAIN, Some(r#"{"device_id":"<dev_3>","destination":"10.0.0.1","protocol":"tcp","port":443}"#)),
    (Admin, "POST", PUBLISH, Some(r#"{"channel":"stable","scope":{"type":"device","id":"<dev_1>"},"policy":{"routes":[]}}"#)),
    (Admin, "POST", EXPLAIN, Some(r#"{"device_id":"<dev_1>","destination":"10.0.0.1","protocol":"tcp","port":443}"#)),
    // Violated rules.
    (Admin, "POST", EXPLAIN, Some(r#"{"device_id":"<dev_1>","destination":"corp.example"}"#)),
    (Admin, "POST", EXPLAIN, Some(r#"{"device_id":"<dev_1>","destination":"10.0.0.1","protocol":"icmp"}"#)),
    (Admin, "POST", EXPLAIN, Some(r#"{"device_id":"<dev_1>","destination":"10.0.0.1","protocol":"tcp","port":0}"#)),
    (Admin, "POST", EXPLAIN, Some(r#"{"device_id":"<dev_1>","destination":"10.0.0.1","port":443}"#)),
    (Admin, "POST", EXPLAIN, Some(r#"{"device_id":"<dev_1>"}"#)),
    (Admin, "POST", EXPLAIN, Some(r#"{"destination":"10.0.0.1"}"#)),
    (Admin, "POST", EXPLAIN, Some(r#"{"device_id":"laptop","destination":"10.0.0.1"}"#)),
    (Admin, "POST", EXPLAIN, Some(r#"{"device_id":"<dev_1>","destination":"10.0.0.1","protcol":"tcp"}"#)),
    (Admin, "POST", EXPLAIN, None),
    (Admin, "GET", EXPLAIN, None),
    // Tenants and permissions.
    (Platform, "POST", EXPLAIN, Some(r#"{"device_id":"<dev_1>","destination":"10.0.0.1"}"#)),
    (Platform, "POST", EXPLAIN, Some(r#"{"tenant_id":"acme","device_id":"<dev_1>","destination":"10.0.0.1"}"#)),
    (Other, "POST", EXPLAIN, Some(r#"{"device_id":"<dev_1>","destination":"10.0.0.1"}"#)),
    (Other, "POST", EXPLAIN, Some(r#"{"tenant_id":"acme","device_id":"<dev_1>","destination":"10.0.0.1"}"#)),
    (Auditor, "POST", EXPLAIN, Some(r#"{"device_id":"<dev_1>","destination":"10.0.0.1"}"#)),
    (User, "POST", EXPLAIN, Some(r#"{"device_id":"<dev_1>","destination":"10.0.0.1"}"#)),
    (Nobody, "POST", EXPLAIN, Some("{")),
];

both_databases! {
    async fn explanations_answer_as_documented(db: TestDb) {
        let server = serve(&db).await;
        let ada = fleet::account(db.read(), "ada").await;
        device(&db, &server, json!({"name": "laptop", "user_id": ada})).await;
        device(&db, &server, json!({"name": "desktop", "status": "pending_approval"})).await;
        device(&db, &server, json!({"name": "phone"})).await;
        check("policy_explain", &server, ABOUT_EXPLANATIONS).await;
    }

    async fn an_explanation_changes_nothing(db: TestDb) {
        let server = serve(&db).await;
        let device = device(&db, &server, json!({})).await;
        admin(&server, PUBLISH, json!({"channel": "stable", "policy": {"default_access": "allow"}})).await;
        let audited = async || audit_events::Entity::find().count(db.read()).await.unwrap();
        let before = audited().await;
        let question = json!({"device_id": device, "destination": "10.0.0.1"});
        assert_eq!(admin(&server, EXPLAIN, question.clone()).await["decision"], "allow");
        let keyed = http(&server, Admin).await.header("idempotency-key", "one");
        assert_eq!(post(&keyed, EXPLAIN, question.clone()).await.json()["version"], 1);
        // The same key is not taken by it: the next answer is that of now.
        admin(&server, PUBLISH, json!({"channel": "stable", "policy": {"default_access": "deny"}})).await;
        assert_eq!(audited().await, before + 1);
        assert_eq!(post(&keyed, EXPLAIN, question.clone()).await.json()["version"], 2);
        sql(&db, "UPDATE policies SET expires_at = 1".to_owned()).await.unwrap();
        let expired = admin(&server, EXPLAIN, question).await;
        assert_eq!((&expired["decision"], &expired["reason"], &expired["version"]), (&json!("deny"), &json!("policy_expired"), &json!(2)));
    }
}
