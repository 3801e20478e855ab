//! The native surface over REST: lists in pages, one tenant, and errors in the form of AIP-193, on both databases.

use serde_json::{Value, json};

use crate::{
    db::postgres_unmigrated,
    harness::{
        http::Http,
        server::{Server, Setup},
    },
};

/// The servers of a test: one on each database.
async fn servers() -> [Server; 2] {
    [Setup::dev().start().await, Setup::dev().database(postgres_unmigrated().await).start().await]
}

async fn create(admin: &Http, name: &str) {
    let body = json!({"name": format!("{name} Inc"), "slug": name}).to_string();
    let made = admin.call(reqwest::Method::POST, "/api/control-plane/tenants", Some(&body)).await;
    assert_eq!(made.status, 201, "{made:?}");
}

async fn lifecycle(admin: &Http, action: &str, name: &str) {
    let mut body = json!({"action": action, "tenant_id": name});
    if action == "delete" {
        body["confirm_slug"] = name.into();
    }
    let done = admin.call(reqwest::Method::POST, "/v1/admin/tenants/lifecycle", Some(&body.to_string())).await;
    assert_eq!(done.status, 200, "{done:?}");
}

fn names(list: &Value) -> Vec<&str> {
    list["tenants"].as_array().unwrap().iter().map(|tenant| tenant["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_tenant_is_shown_in_every_state() {
    for server in servers().await {
        let admin = server.admin();
        create(&admin, "acme").await;
        let active = admin.get("/registry/v1/tenants/ACME").await.json();
        let id = active["id"].as_str().unwrap();
        let expected = json!({
            "id": id, "name": "acme", "displayName": "acme Inc", "state": "TENANT_STATE_ACTIVE",
            "suspendedBy": "SUSPENSION_AUTHORITY_UNSPECIFIED", "labels": {}, "version": "1",
            "createTime": active["createTime"], "updateTime": active["updateTime"],
        });
        assert_eq!(active, expected);
        assert!(active["createTime"].as_str().unwrap().ends_with('Z'), "{active}");

        lifecycle(&admin, "suspend", "acme").await;
        let suspended = admin.get(&format!("/registry/v1/tenants/{id}")).await.json();
        let state = (&suspended["state"], &suspended["suspendedBy"], &suspended["version"]);
        assert_eq!(state, (&json!("TENANT_STATE_SUSPENDED"), &json!("SUSPENSION_AUTHORITY_PLATFORM"), &json!("2")));

        lifecycle(&admin, "delete", "acme").await;
        let deleted = admin.get(&format!("/registry/v1/tenants/{id}")).await.json();
        assert_eq!(deleted["state"], "TENANT_STATE_DEPROVISIONING");
        assert!(deleted["purgeTime"].is_string(), "{deleted}");
        assert_eq!(names(&admin.get("/registry/v1/tenants").await.json()), ["acme"]);
    }
}

#[tokio::test]
async fn tenants_are_listed_in_pages() {
    for server in servers().await {
        let admin = server.admin();
        for name in ["one", "two", "three"] {
            create(&admin, name).await;
        }
        let first = admin.get("/registry/v1/tenants?pageSize=2").await.json();
        assert_eq!(names(&first), ["one", "two"]);
        let token = first["nextPageToken"].as_str().unwrap();
        let second = admin.get(&format!("/registry/v1/tenants?page_size=2&page_token={token}")).await.json();
        assert_eq!((names(&second), &second["nextPageToken"]), (vec!["three"], &json!("")));
        let all = admin.get("/registry/v1/tenants?page_size=100000").await.json();
        assert_eq!(names(&all), ["one", "two", "three"]);
    }
}

#[tokio::test]
async fn callers_of_a_tenant_see_their_own_only() {
    for server in servers().await {
        let admin = server.admin();
        for name in ["mine", "other"] {
            create(&admin, name).await;
        }
        let reader = server.http().token(server.setup().mint(&["--role", "read_only", "--tenant", "mine"]).await);
        assert_eq!(names(&reader.get("/registry/v1/tenants").await.json()), ["mine"]);
        assert_eq!(reader.get("/registry/v1/tenants/mine").await.json()["name"], "mine");
        for foreign in ["other", "no-such-tenant"] {
            let refused = reader.get(&format!("/registry/v1/tenants/{foreign}")).await;
            assert_eq!(error(&refused.json()), (403, "PERMISSION_DENIED", "TENANT_FOREIGN"), "{foreign}");
        }
        // The token of a page leads no further than the caller reaches.
        let first = admin.get("/registry/v1/tenants?page_size=1").await.json();
        let token = first["nextPageToken"].as_str().unwrap();
        let after = reader.get(&format!("/registry/v1/tenants?page_token={token}")).await.json();
        assert_eq!(names(&after), [""; 0]);
    }
}

#[tokio::test]
async fn errors_are_those_of_aip_193() {
    let server = Server::dev().await;
    let admin = server.admin();
    let cases = [
        ("/registry/v1/tenants/missing", (404, "NOT_FOUND", "TENANT_NOT_FOUND")),
        ("/registry/v1/tenants?page_size=-1", (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT")),
        ("/registry/v1/tenants?page_token=AAAA", (400, "INVALID_ARGUMENT", "CURSOR_INVALID")),
        ("/registry/v1/tenants?unknown=1", (400, "INVALID_ARGUMENT", "FIELD_UNKNOWN")),
        ("/registry/v1/nothing", (404, "NOT_FOUND", "PATH_NOT_FOUND")),
    ];
    for (path, expected) in cases {
        let answer = admin.get(path).await;
        assert_eq!(error(&answer.json()), expected, "{path}");
        assert_eq!(answer.status, expected.0, "{path}");
    }
    let anonymous = server.http().get("/registry/v1/tenants").await.json();
    assert_eq!(error(&anonymous), (401, "UNAUTHENTICATED", "CREDENTIALS_MISSING"));
    let elsewhere = server.setup().mint(&["--role", "platform_admin", "--audience", "messaging"]).await;
    let elsewhere = server.http().token(elsewhere).get("/registry/v1/tenants").await.json();
    assert_eq!(error(&elsewhere), (401, "UNAUTHENTICATED", "CREDENTIALS_INVALID"));
}

/// Status code, status and reason of an error body.
fn error(body: &Value) -> (u16, &str, &str) {
    let error = &body["error"];
    let info = error["details"].as_array().unwrap().iter().find(|detail| detail["reason"].is_string());
    let code = u16::try_from(error["code"].as_u64().unwrap()).unwrap();
    (code, error["status"].as_str().unwrap(), info.unwrap()["reason"].as_str().unwrap())
}
