//! Groups and API keys over REST: every documented response, in one conversation that is the same on both databases.

use reqwest::Method;

use super::conversation::{
    Line,
    Who::{Admin, Auditor, Elsewhere, Garbage, Nobody, Operator, Other, Platform, User},
    check, http, serve,
};
use crate::{
    db,
    harness::grpc::{self, Grpc},
};

const GROUPS: &str = "/v1/admin/groups";
const CHANGE: &str = "/v1/admin/groups/lifecycle";
const KEYS: &str = "/v1/admin/api-keys";

#[rustfmt::skip]
const ABOUT_GROUPS: &[Line] = &[
    // From creation to deletion.
    (Admin, "GET", GROUPS, None),
    (Admin, "POST", CHANGE, Some(r#"{"action":"create","name":"Ops","description":"who runs it","policy_id":"pol_1","user_ids":["ada","bob@example.com"]}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"create","name":"dev"}"#)),
    (Admin, "GET", GROUPS, None),
    (Admin, "POST", CHANGE, Some(r#"{"action":"update","group_id":"<grp_1>","name":"Operators","if_version":1}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"update","group_id":"<grp_1>","name":"x","if_version":1}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"add_members","group_id":"<grp_2>","user_ids":["ada","bob"]}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"add_members","group_id":"<grp_2>","user_ids":["ADA"]}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"remove_members","group_id":"<grp_2>","user_ids":["ada"]}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"delete","group_id":"<grp_1>"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"delete","group_id":"<grp_1>","force":true}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"delete","group_id":"<grp_1>","force":true}"#)),
    // Violated rules.
    (Admin, "POST", CHANGE, Some(r#"{"action":"create","name":"DEV"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"create"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"create","name":" "}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"create","name":"x","policy_id":"a b"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"create","name":"x","user_ids":["nobody","eve"]}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"create","name":"x","group_id":"mine"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"update","name":"x"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"update","group_id":"<grp_2>","user_ids":["ada"]}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"add_members","group_id":"<grp_2>"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"add_members","group_id":"grp_1","user_ids":["ada"]}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"explode","group_id":"<grp_2>"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"name":"x"}"#)),
    // Malformed requests.
    (Admin, "POST", CHANGE, None),
    (Admin, "POST", CHANGE, Some("{")),
    (Admin, "POST", CHANGE, Some("[]")),
    (Admin, "POST", CHANGE, Some(r#"{"action":"create","name":1}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"create","name":"x","colour":"red"}"#)),
    (Admin, "POST", CHANGE, Some(r#"{"action":"create","name":"x","name":"y"}"#)),
    (Admin, "PUT", CHANGE, Some("{}")),
    (Admin, "POST", GROUPS, Some("{}")),
    (Admin, "GET", "/v1/admin/groups/", None),
    (Admin, "GET", "/v1/admin/nowhere", None),
    // Pages.
    (Admin, "POST", CHANGE, Some(r#"{"action":"create","name":"third"}"#)),
    (Admin, "GET", "/v1/admin/groups?limit=1", None),
    (Admin, "GET", "/v1/admin/groups?q=DEV&limit=500", None),
    (Admin, "GET", "/v1/admin/groups?q=nothing", None),
    (Admin, "GET", "/v1/admin/groups?limit=0", None),
    (Admin, "GET", "/v1/admin/groups?limit=501", None),
    (Admin, "GET", "/v1/admin/groups?limit=many", None),
    (Admin, "GET", "/v1/admin/groups?cursor=garbage", None),
    (Admin, "GET", "/v1/admin/groups?colour=red", None),
    // Tenants.
    (Platform, "GET", GROUPS, None),
    (Platform, "GET", "/v1/admin/groups?tenant_id=ACME", None),
    (Platform, "GET", "/v1/admin/groups?tenant_id=nowhere", None),
    (Platform, "POST", CHANGE, Some(r#"{"action":"create","name":"x"}"#)),
    (Platform, "POST", CHANGE, Some(r#"{"action":"create","tenant_id":"<ten_1>","name":"from above"}"#)),
    (Admin, "GET", "/v1/admin/groups?tenant_id=<ten_1>&limit=1", None),
    (Admin, "GET", "/v1/admin/groups?tenant_id=other", None),
    (Admin, "GET", "/v1/admin/groups?tenant_id=nowhere", None),
    (Other, "GET", GROUPS, None),
    (Other, "POST", CHANGE, Some(r#"{"action":"update","group_id":"<grp_2>","name":"mine"}"#)),
    (Other, "POST", CHANGE, Some(r#"{"action":"delete","tenant_id":"acme","group_id":"<grp_2>"}"#)),
    // Permissions.
    (Nobody, "GET", GROUPS, None),
    (Nobody, "POST", CHANGE, Some("{")),
    (Garbage, "GET", GROUPS, None),
    (Elsewhere, "GET", GROUPS, None),
    (Auditor, "GET", "/v1/admin/groups?q=dev", None),
    (Auditor, "POST", CHANGE, Some(r#"{"action":"create","name":"x"}"#)),
    (Operator, "POST", CHANGE, Some(r#"{"action":"create","name":"x"}"#)),
    (User, "GET", GROUPS, None),
];

#[rustfmt::skip]
const ABOUT_KEYS: &[Line] = &[
    (Admin, "GET", KEYS, None),
    (Admin, "POST", KEYS, Some(r#"{"name":"ci","role":"auditor","allowed_cidrs":["10.0.0.0/8","2001:db8::/32"]}"#)),
    (Admin, "POST", KEYS, Some(r#"{"action":"create","name":"deploy","role":"admin","expires_in_seconds":86400}"#)),
    (Admin, "GET", KEYS, None),
    (Admin, "POST", KEYS, Some(r#"{"action":"revoke","key_id":"<key_1>"}"#)),
    (Admin, "POST", KEYS, Some(r#"{"action":"revoke","key_id":"<key_1>"}"#)),
    (Admin, "GET", "/v1/admin/api-keys?limit=1", None),
    // Violated rules.
    (Admin, "POST", KEYS, Some("{}")),
    (Admin, "POST", KEYS, Some(r#"{"name":"x"}"#)),
    (Admin, "POST", KEYS, Some(r#"{"name":"x","role":"owner"}"#)),
    (Admin, "POST", KEYS, Some(r#"{"name":"x","role":"platform_admin"}"#)),
    (Platform, "POST", KEYS, Some(r#"{"tenant_id":"acme","name":"x","role":"platform_admin"}"#)),
    (Admin, "POST", KEYS, Some(r#"{"name":"x","role":"user","expires_in_seconds":60}"#)),
    (Admin, "POST", KEYS, Some(r#"{"name":"x","role":"user","allowed_cidrs":["10.0.0.1/8"]}"#)),
    (Admin, "POST", KEYS, Some(r#"{"name":"x","role":"user","key_id":"<key_1>"}"#)),
    (Admin, "POST", KEYS, Some(r#"{"action":"revoke"}"#)),
    (Admin, "POST", KEYS, Some(r#"{"action":"revoke","key_id":"key_1"}"#)),
    (Admin, "POST", KEYS, Some(r#"{"action":"revoke","key_id":"<key_1>","name":"x"}"#)),
    (Admin, "POST", KEYS, Some(r#"{"action":"rotate","key_id":"<key_1>"}"#)),
    (Admin, "POST", KEYS, Some(r#"{"name":"x","role":"user","expires_in_seconds":"soon"}"#)),
    (Admin, "POST", KEYS, None),
    (Admin, "DELETE", KEYS, None),
    // Tenants and permissions.
    (Platform, "GET", KEYS, None),
    (Platform, "GET", "/v1/admin/api-keys?tenant_id=acme&limit=1", None),
    (Other, "GET", KEYS, None),
    (Other, "POST", KEYS, Some(r#"{"action":"revoke","key_id":"<key_2>"}"#)),
    (Other, "POST", KEYS, Some(r#"{"action":"revoke","tenant_id":"acme","key_id":"<key_2>"}"#)),
    (Auditor, "GET", "/v1/admin/api-keys?limit=1", None),
    (Auditor, "POST", KEYS, Some(r#"{"name":"x","role":"user"}"#)),
    (Operator, "GET", KEYS, None),
    (Nobody, "POST", KEYS, Some("{")),
];

both_databases! {
    async fn groups_answer_as_documented(db: TestDb) {
        let server = serve(&db).await;
        check("groups", &server, ABOUT_GROUPS).await;
    }

    async fn api_keys_answer_as_documented(db: TestDb) {
        let server = serve(&db).await;
        check("api_keys", &server, ABOUT_KEYS).await;
    }

    async fn a_key_works_over_rest_and_grpc_until_it_is_revoked(db: TestDb) {
        let server = serve(&db).await;
        let admin = http(&server, Admin).await;
        let made = admin.call(Method::POST, KEYS, Some(r#"{"name":"ci","role":"admin"}"#)).await.json();
        let (key, id) = (made["api_key"].as_str().unwrap(), made["key_id"].as_str().unwrap());
        let program = server.http().token(key);
        assert_eq!(program.get(GROUPS).await.status, 200);
        assert_eq!(program.get("/v1/admin/groups?tenant_id=other").await.status, 403);
        assert_eq!(program.get("/admin/v2/tenants/acme").await.status, 401, "the key must be valid only on its own surface");
        let below = program.call(Method::POST, KEYS, Some(r#"{"name":"below","role":"user","expires_in_seconds":86400}"#)).await;
        assert_eq!(below.status, 201, "{below:?}");
        let list = grpc::descriptors().get_service_by_name("tenantry.zerotrust.v1.GroupService").unwrap();
        let list = list.methods().find(|method| method.name() == "ListGroups").unwrap();
        let over_grpc = Grpc::new(server.address()).token(key);
        let request = || prost_reflect::DynamicMessage::new(list.input());
        assert!(over_grpc.call(&list, request()).await.is_ok());
        let revoke = format!(r#"{{"action":"revoke","key_id":"{id}"}}"#);
        assert_eq!(admin.call(Method::POST, KEYS, Some(&revoke)).await.status, 200);
        db::eventually("the key is refused", || async { program.get(GROUPS).await.status == 401 }).await;
        let refused = over_grpc.call(&list, request()).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unauthenticated);
        let keys = admin.get(KEYS).await.json();
        let by = keys["api_keys"][1]["created_by"].as_str().unwrap().to_owned();
        assert_eq!(by, format!("key:{id}"));
        assert!(!keys.to_string().contains(key));
    }

    async fn the_key_of_a_suspended_tenant_is_refused(db: TestDb) {
        let server = serve(&db).await;
        let made = http(&server, Admin).await.call(Method::POST, KEYS, Some(r#"{"name":"ci","role":"admin"}"#)).await;
        let program = server.http().token(made.json()["api_key"].as_str().unwrap());
        for (action, status) in [("suspend", 401), ("reactivate", 200)] {
            let body = format!(r#"{{"action":"{action}","tenant_id":"acme"}}"#);
            let changed = server.admin().call(Method::POST, "/v1/admin/tenants/lifecycle", Some(&body)).await;
            assert_eq!(changed.status, 200, "{changed:?}");
            db::eventually(action, || async { program.get(GROUPS).await.status == status }).await;
        }
    }

    async fn a_key_is_valid_only_in_its_networks(db: TestDb) {
        let server = serve(&db).await;
        let admin = http(&server, Admin).await;
        for (network, status) in [("127.0.0.0/8", 200), ("10.0.0.0/8", 401)] {
            let new = format!(r#"{{"name":"near","role":"auditor","allowed_cidrs":["{network}"]}}"#);
            let made = admin.call(Method::POST, KEYS, Some(&new)).await.json();
            let program = server.http().token(made["api_key"].as_str().unwrap());
            assert_eq!(program.get(GROUPS).await.status, status, "{network}");
        }
    }

    async fn a_cursor_of_another_list_is_refused(db: TestDb) {
        let server = serve(&db).await;
        let admin = http(&server, Admin).await;
        for name in ["a", "b"] {
            let new = format!(r#"{{"name":"{name}","role":"user"}}"#);
            assert_eq!(admin.call(Method::POST, KEYS, Some(&new)).await.status, 201);
        }
        let page = admin.get("/v1/admin/api-keys?limit=1").await.json();
        let cursor = page["next_cursor"].as_str().unwrap();
        let next = admin.get(&format!("{KEYS}?limit=1&cursor={cursor}")).await.json();
        assert_eq!((&next["api_keys"][0]["name"], &next["next_cursor"], &next["total"]), (&"b".into(), &serde_json::Value::Null, &2.into()));
        let foreign = admin.get(&format!("{GROUPS}?cursor={cursor}")).await;
        assert_eq!((foreign.status, &foreign.json()["error"]), (400, &"bad_request".into()));
    }

    async fn a_cursor_of_another_filter_or_tenant_is_refused(db: TestDb) {
        let server = serve(&db).await;
        let (admin, other) = (http(&server, Admin).await, http(&server, Other).await);
        for name in ["aa", "ab"] {
            let new = format!(r#"{{"action":"create","name":"{name}"}}"#);
            assert_eq!(admin.call(Method::POST, CHANGE, Some(&new)).await.status, 201);
        }
        let page = admin.get(&format!("{GROUPS}?q=a&limit=1")).await.json();
        let cursor = page["next_cursor"].as_str().unwrap();
        for (query, status) in [("q=a", 200), ("q=a&limit=500", 200), ("q=b", 400), ("", 400), ("q=a&tenant_id=acme", 400)] {
            let next = admin.get(&format!("{GROUPS}?{query}&cursor={cursor}")).await;
            assert_eq!(next.status, status, "{query}: {}", next.json());
        }
        assert_eq!(other.get(&format!("{GROUPS}?q=a&cursor={cursor}")).await.status, 400);
    }
}
