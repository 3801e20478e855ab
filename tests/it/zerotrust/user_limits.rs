//! Limits of users and API keys: exact, also of concurrent calls, on both databases.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::conversation::{
    Who::{Admin, Other, Platform},
    http, serve,
};
use crate::harness::{
    http::{Answer, Http},
    server::Server,
};

const USERS: &str = "/v1/admin/users/lifecycle";
const KEYS: &str = "/v1/admin/api-keys";
const TENANTS: &str = "/v1/admin/tenants/lifecycle";

async fn post(http: &Http, path: &str, body: Value) -> Answer {
    http.call(Method::POST, path, Some(&body.to_string())).await
}

async fn plan(server: &Server, plan: &str, overrides: Value) {
    let body = json!({"action": "set_plan", "tenant_id": "acme", "plan": plan, "overrides": overrides});
    let answer = post(&http(server, Platform).await, TENANTS, body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// An address that was not used before.
fn address() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("user{}@example.com", NEXT.fetch_add(1, Ordering::Relaxed))
}

async fn create(http: &Http) -> Answer {
    post(http, USERS, json!({"action": "create", "email": address()})).await
}

fn refused(answer: &Answer, resource: &str, limit: u64, used: u64) {
    let body = answer.json();
    assert_eq!((answer.status, &body["error"]), (409, &json!("entitlement_exceeded")), "{answer:?}");
    assert_eq!(body["limit"], json!({"resource": resource, "limit": limit, "used": used}));
}

both_databases! {
    async fn a_tenant_has_exactly_as_many_users_as_it_may(db: TestDb) {
        let server = serve(&db).await;
        let admins = http(&server, Admin).await;
        // `ada` and `bob` are there already.
        plan(&server, "unlimited", json!({"users": 5})).await;
        let answers = join_all((0..12).map(|_| create(&admins))).await;
        let (made, others): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
        assert_eq!(made.len(), 3, "{answers:?}");
        others.iter().for_each(|answer| refused(answer, "users", 5, 5));
        let listed = admins.get("/v1/admin/users").await.json();
        assert_eq!(listed["total"], 5, "{listed}");
        refused(&post(&admins, USERS, json!({"action": "invite", "email": address()})).await, "users", 5, 5);
        let again = json!({"action": "invite", "email": made[0].json()["user"]["email"]});
        assert_eq!(post(&admins, USERS, again).await.status, 200, "no other user");
        // A taken address is that, and another tenant has limits of its own.
        let taken = post(&admins, USERS, json!({"action": "create", "email": made[0].json()["user"]["email"]})).await;
        assert_eq!((taken.status, &taken.json()["error"]), (409, &json!("conflict")), "{taken:?}");
        assert_eq!(create(&http(&server, Other).await).await.status, 201);
        // A suspended user keeps the seat, and a deleted one frees it.
        let user = |place: usize| made[place].json()["user"]["id"].clone();
        let act = async |action: &str, id: Value| {
            post(&admins, USERS, json!({"action": action, "user_id": id})).await
        };
        assert_eq!(act("suspend", user(0)).await.status, 200);
        refused(&create(&admins).await, "users", 5, 5);
        assert_eq!(act("delete", user(1)).await.status, 200);
        assert_eq!(create(&admins).await.status, 201);
        // After a downgrade nobody is deleted, and nobody comes back.
        plan(&server, "unlimited", json!({"users": 3})).await;
        refused(&act("reactivate", user(0)).await, "users", 3, 5);
        refused(&create(&admins).await, "users", 3, 5);
        let update = json!({"action": "update", "user_id": user(2), "display_name": "Still here"});
        assert_eq!(post(&admins, USERS, update).await.status, 200);
        plan(&server, "unlimited", json!({"users": null})).await;
        assert_eq!(act("reactivate", user(0)).await.status, 200);
        assert_eq!(create(&admins).await.status, 201);
    }

    async fn plans_limit_users_and_overrides_come_first(db: TestDb) {
        let server = serve(&db).await;
        let admins = http(&server, Admin).await;
        plan(&server, "starter", json!({})).await;
        let answers = join_all((0..26).map(|_| create(&admins))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 23, "{answers:?}");
        refused(&create(&admins).await, "users", 25, 25);
        plan(&server, "starter", json!({"users": 26})).await;
        assert_eq!(create(&admins).await.status, 201);
        refused(&create(&admins).await, "users", 26, 26);
        plan(&server, "professional", json!({})).await;
        assert_eq!(create(&admins).await.status, 201);
        // Without room for its administrator, a tenant is not created.
        let platform = http(&server, Platform).await;
        let body = json!({"action": "create", "slug": "small", "admin_email": "a@example.com", "overrides": {"users": 0}});
        refused(&post(&platform, TENANTS, body).await, "users", 0, 0);
        let body = json!({"action": "create", "slug": "small", "admin_email": "a@example.com", "overrides": {"users": 1}});
        assert_eq!(post(&platform, TENANTS, body).await.status, 201);
    }

    async fn a_tenant_has_exactly_as_many_api_keys_as_it_may(db: TestDb) {
        let server = serve(&db).await;
        let admins = http(&server, Admin).await;
        plan(&server, "unlimited", json!({"api_keys": 2})).await;
        let create = async || post(&admins, KEYS, json!({"name": "nightly", "role": "read_only"})).await;
        let answers = join_all((0..8).map(|_| create())).await;
        let (made, others): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
        assert_eq!(made.len(), 2, "{answers:?}");
        others.iter().for_each(|answer| refused(answer, "api_keys", 2, 2));
        let revoke = json!({"action": "revoke", "key_id": made[0].json()["key_id"]});
        assert_eq!(post(&admins, KEYS, revoke).await.status, 200);
        assert_eq!(create().await.status, 201);
        refused(&create().await, "api_keys", 2, 2);
    }
}
