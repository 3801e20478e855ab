//! Projects over REST: every documented response and error, their tokens, and the ledger of namespaces, on both databases.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::future::join_all;
use reqwest::Method;
use sea_orm::EntityTrait;
use serde_json::{Value, json};
use tenantry::{
    base::{ManagerId, error::Reason},
    manager::{Paging, projects, tenants},
    store::tables::project_namespaces,
};

use super::rest::{setup, signed_by_key};
use crate::{
    db::{self, TestDb, platform_cx},
    harness::{
        golden,
        http::Http,
        server::{Server, Setup},
        talk::{Line, Transcript},
    },
};

#[rustfmt::skip]
const PROJECTS: &[Line] = &[
    // Document 002, in its order.
    ("admin", "POST", "/v1/tenants", Some(r#"{"name":"acme"}"#)),
    ("admin", "GET", "/v1/projects", None),
    ("admin", "POST", "/v1/projects", Some(r#"{"tenantID":"{acme.manager}","name":"web"}"#)),
    ("admin", "GET", "/v1/projects?tenantID={acme.manager}", None),
    ("admin", "GET", "/v1/projects/{web.project}", None),
    ("admin", "PATCH", "/v1/projects", Some(r#"{"ID":"{web.project}","Name":"web-main"}"#)),
    ("admin", "GET", "/v1/projects/{web.project}", None),
    ("admin", "POST", "/v1/jwt/project", Some(r#"{"ProjectID":"{web.project}","TTLMinutes":60}"#)),
    ("admin", "DELETE", "/v1/projects/{web.project}", None),
    ("admin", "DELETE", "/v1/projects/{web.project}", None),
    ("admin", "GET", "/v1/projects/{web.project}", None),
    // Create: names, keys and tenants.
    ("admin", "POST", "/v1/projects", Some(r#"{"TENANTID":"acme","Name":" padded"}"#)),
    ("admin", "POST", "/v1/projects", Some(r#"{"tenant_id":"ACME","name":"W b/\u00fc: {}","unknown":[1]}"#)),
    ("admin", "POST", "/v1/projects", Some(r#"{"tenantID":"{acme.dashed}","name":"second"}"#)),
    ("admin", "POST", "/v1/projects", Some(r#"{"tenantID":"{acme.zero-trust}","name":"second"}"#)),
    ("admin", "POST", "/v1/projects", Some(r#"{"tenantID":"acme","name":"Second"}"#)),
    ("admin", "POST", "/v1/projects", Some(r#"{"tenantID":"missing","name":"x"}"#)),
    ("admin", "POST", "/v1/projects", Some(r#"{"tenantID":"missing","name":"a\u0000b"}"#)),
    ("admin", "POST", "/v1/projects", Some(r#"{"tenantID":"","name":"x"}"#)),
    ("admin", "POST", "/v1/projects", Some(r#"{"tenantID":"acme","name":""}"#)),
    ("admin", "POST", "/v1/projects", Some(r#"{"tenantID":"acme"}"#)),
    ("admin", "POST", "/v1/projects", Some(r#"{"name":"x"}"#)),
    ("admin", "POST", "/v1/projects", Some(r#"{"tenantID":1,"name":"x"}"#)),
    ("admin", "POST", "/v1/projects", Some("[]")),
    ("admin", "POST", "/v1/projects", Some("{")),
    ("admin", "POST", "/v1/projects", None),
    // Lists: filters and pages.
    ("admin", "GET", "/v1/projects?TENANTID=acme", None),
    ("admin", "GET", "/v1/projects?tenant_id=acme", None),
    ("admin", "GET", "/v1/projects?tenantID=missing", None),
    ("admin", "GET", "/v1/projects?tenantID=p_1", None),
    ("admin", "GET", "/v1/projects?limit=1&tenantID=acme", None),
    ("admin", "GET", "/v1/projects?limit=1&page_token={second.project}", None),
    ("admin", "GET", "/v1/projects?page_token={Second.project}", None),
    ("admin", "GET", "/v1/projects?limit=0", None),
    ("admin", "GET", "/v1/projects?limit=1001", None),
    ("admin", "GET", "/v1/projects?limit=many", None),
    ("admin", "GET", "/v1/projects?page_token=x", None),
    // Ids.
    ("admin", "GET", "/v1/projects/p_00000000000000000000000000000000", None),
    ("admin", "GET", "/v1/projects/malformed", None),
    ("admin", "GET", "/v1/projects/{acme.manager}", None),
    ("admin", "GET", "/v1/projects/a/b", None),
    ("admin", "DELETE", "/v1/projects/malformed", None),
    ("admin", "DELETE", "/v1/projects", None),
    ("admin", "HEAD", "/v1/projects", None),
    // Update.
    ("admin", "PUT", "/v1/projects", Some(r#"{"ID":"{second.project}","Name":"third"}"#)),
    ("admin", "PUT", "/v1/projects", Some(r#"{"ID":"{second.project}","Name":"Second"}"#)),
    ("admin", "PUT", "/v1/projects", Some(r#"{"ID":"{second.project}"}"#)),
    ("admin", "PUT", "/v1/projects", Some(r#"{"Name":"x"}"#)),
    ("admin", "PUT", "/v1/projects", Some(r#"{"ID":"","Name":"x"}"#)),
    ("admin", "PUT", "/v1/projects", Some(r#"{"ID":"malformed","Name":"x"}"#)),
    ("admin", "PUT", "/v1/projects", Some(r#"{"ID":"malformed","Name":" x"}"#)),
    ("admin", "PATCH", "/v1/projects", Some(r#"{"ID":"{second.project}"}"#)),
    ("admin", "PATCH", "/v1/projects", Some(r#"{"ID":"p_00000000000000000000000000000000"}"#)),
    ("admin", "GET", "/v1/projects", None),
    // Tokens.
    ("admin", "POST", "/v1/jwt/project", Some(r#"{"projectid":"{Second.project}"}"#)),
    ("admin", "POST", "/v1/jwt/project", Some(r#"{"project_id":"{Second.project}","ttl_minutes":0}"#)),
    ("admin", "POST", "/v1/jwt/project", Some(r#"{"ProjectID":"{Second.project}","TTLMinutes":43200}"#)),
    ("admin", "POST", "/v1/jwt/project", Some(r#"{"ProjectID":"{Second.project}","TTLMinutes":43201}"#)),
    ("admin", "POST", "/v1/jwt/project", Some(r#"{"ProjectID":"{Second.project}","TTLMinutes":-1}"#)),
    ("admin", "POST", "/v1/jwt/project", Some(r#"{"ProjectID":"{Second.project}","TTLMinutes":"soon"}"#)),
    ("admin", "POST", "/v1/jwt/project", Some(r#"{"ProjectID":"malformed"}"#)),
    ("admin", "POST", "/v1/jwt/project", Some(r#"{"ProjectID":""}"#)),
    ("admin", "POST", "/v1/jwt/project", Some("{}")),
    ("admin", "GET", "/v1/jwt/project", None),
    // The projects are deleted with their tenant.
    ("admin", "DELETE", "/v1/tenants/acme", None),
    ("admin", "GET", "/v1/projects/{Second.project}", None),
    ("admin", "GET", "/v1/projects", None),
    ("admin", "PATCH", "/v1/projects", Some(r#"{"ID":"{Second.project}","Name":"x"}"#)),
    ("admin", "DELETE", "/v1/projects/{Second.project}", None),
];

async fn run_conversation(server: &Server) -> String {
    let (mut talk, admin) = (Transcript::default(), server.admin());
    for line in PROJECTS {
        talk.say(&admin, line).await;
    }
    talk.end()
}

#[tokio::test]
async fn projects_answer_as_documented_on_sqlite() {
    golden::check("manager/projects.txt", &run_conversation(&setup().start().await).await);
}

#[tokio::test]
async fn projects_answer_as_documented_on_postgres() {
    let setup = setup().database(db::postgres_unmigrated().await);
    golden::check("manager/projects.txt", &run_conversation(&setup.start().await).await);
}

pub(super) async fn post(http: &Http, path: &str, body: &Value) -> Value {
    let answer = http.call(Method::POST, path, Some(&body.to_string())).await;
    assert_eq!(answer.status, 200, "{path} {body}: {answer:?}");
    answer.json()
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// A tenant with a project: their ids.
pub(super) async fn project(admin: &Http, tenant: &str) -> (String, String) {
    let tenant = text(&post(admin, "/v1/tenants", &json!({"name": tenant})).await["id"]);
    let project = post(admin, "/v1/projects", &json!({"tenantID": tenant, "name": "web"})).await;
    (tenant, text(&project["id"]))
}

/// The claims of a token that the server issued for a project.
async fn issued(server: &Server, project: &str) -> (String, Value, Value) {
    let token = text(&post(&server.admin(), "/v1/jwt/project", &json!({"ProjectID": project})).await["token"]);
    let part = |at: usize| URL_SAFE_NO_PAD.decode(token.split('.').nth(at).unwrap()).unwrap();
    let (header, claims) = (serde_json::from_slice(&part(0)).unwrap(), serde_json::from_slice(&part(1)).unwrap());
    (token, header, claims)
}

#[tokio::test]
async fn a_token_of_a_project_is_signed_with_the_shared_key_where_there_is_one() {
    let server = setup().start().await;
    let (_, id) = project(&server.admin(), "acme").await;
    let (token, header, claims) = issued(&server, &id).await;
    assert_eq!(header, json!({"alg": "HS256", "typ": "JWT"}));
    let scope = format!("project:{id}");
    assert_eq!((&claims["iss"], &claims["sub"]), (&json!("kubeop"), &json!(scope)));
    assert_eq!((&claims["role"], &claims["scope"]), (&json!("project"), &json!(scope)));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
    assert_eq!(server.http().token(token).get(&format!("/v1/projects/{id}")).await.status, 200);
}

#[tokio::test]
async fn a_token_of_a_project_is_ours_without_a_shared_key_and_opens_that_project_alone() {
    let server = Setup::dev().env("KUBEOP_REQUIRE_AUTH", "true").start().await;
    let admin = server.admin();
    let ((tenant, id), (_, other)) = (project(&admin, "acme").await, project(&admin, "beta").await);
    let (token, header, claims) = issued(&server, &id).await;
    assert_eq!(header["alg"], "EdDSA");
    assert_eq!(
        (&claims["role"], &claims["project"], &claims["aud"]),
        (&json!("project"), &json!(id), &json!(["manager"]))
    );
    let own = server.http().token(token);
    let app = json!({"projectID": id, "name": "web"});
    let app = text(&post(&own, "/v1/apps", &app).await["id"]);
    let theirs = text(&post(&admin, "/v1/apps", &json!({"projectID": other, "name": "web"})).await["id"]);
    for (path, status) in [
        (format!("/v1/projects/{id}"), 200),
        (format!("/v1/projects/{other}"), 404),
        (format!("/v1/apps?projectID={id}"), 200),
        (format!("/v1/apps?projectID={other}"), 404),
        ("/v1/apps".to_owned(), 403),
        ("/v1/projects".to_owned(), 403),
        (format!("/v1/apps/{app}"), 200),
        (format!("/v1/apps/{theirs}"), 404),
        (format!("/v1/tenants/{tenant}"), 403),
        ("/admin/v2/tenants".to_owned(), 401),
    ] {
        assert_eq!(own.get(&path).await.status, status, "{path}");
    }
    let refused = own.call(Method::POST, "/v1/apps", Some(&json!({"projectID": other, "name": "x"}).to_string())).await;
    assert_eq!(refused.status, 404, "{refused:?}");
    let deleted = admin.call(Method::DELETE, &format!("/v1/projects/{id}"), None).await;
    assert_eq!(deleted.status, 204);
    // The token of a deleted project is still one, and opens nothing.
    assert_eq!(own.get(&format!("/v1/projects/{id}")).await.status, 403);
    assert_eq!(own.get(&format!("/v1/apps/{app}")).await.status, 403);
}

#[tokio::test]
async fn a_tenant_reads_and_creates_its_own_projects_only() {
    let server = setup().start().await;
    let admin = server.admin();
    let ((acme, id), (beta, other)) = (project(&admin, "acme").await, project(&admin, "beta").await);
    let own = server.http().token(signed_by_key(&json!({"role": "tenant", "scope": format!("tenant:{acme}")})));
    let listed = own.get("/v1/projects").await.json();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed[0]["id"], json!(id));
    for (path, status) in [
        (format!("/v1/projects?tenantID={acme}"), 200),
        (format!("/v1/projects?tenantID={beta}"), 404),
        ("/v1/projects?tenantID=missing".to_owned(), 404),
        (format!("/v1/projects/{other}"), 404),
        (format!("/v1/apps?projectID={id}"), 200),
        (format!("/v1/apps?projectID={other}"), 404),
        ("/v1/apps".to_owned(), 200),
    ] {
        assert_eq!(own.get(&path).await.status, status, "{path}");
    }
    let send =
        async |method: Method, path: &str, body: Value| own.call(method, path, Some(&body.to_string())).await.status;
    assert_eq!(send(Method::POST, "/v1/projects", json!({"tenantID": acme, "name": "new"})).await, 200);
    let page = own.get("/v1/projects?limit=1").await;
    assert_eq!(page.json()[0]["name"], "new");
    let token = page.header("x-next-page-token").unwrap().to_owned();
    let link = format!("</v1/projects?limit=1&page_token={token}>; rel=\"next\"");
    assert_eq!(page.header("link"), Some(link.as_str()));
    let last = own.get(&format!("/v1/projects?limit=1&page_token={token}")).await;
    assert_eq!((&last.json()[0]["id"], last.header("link")), (&json!(id), None));
    assert_eq!(send(Method::POST, "/v1/projects", json!({"tenantID": beta, "name": "new"})).await, 404);
    assert_eq!(send(Method::POST, "/v1/projects", json!({"tenantID": beta, "name": ""})).await, 400);
    assert_eq!(send(Method::PUT, "/v1/projects", json!({"ID": id, "Name": "x"})).await, 403);
    assert_eq!(send(Method::POST, "/v1/apps", json!({"projectID": id, "name": "x"})).await, 403);
    assert_eq!(send(Method::POST, "/v1/jwt/project", json!({"ProjectID": id})).await, 403);
}

#[tokio::test]
async fn a_name_that_is_too_long_changes_nothing() {
    let server = setup().start().await;
    let admin = server.admin();
    let (tenant, _) = project(&admin, "acme").await;
    let long = json!({"tenantID": tenant, "name": "x".repeat(101)}).to_string();
    assert_eq!(admin.call(Method::POST, "/v1/projects", Some(&long)).await.status, 400);
    let huge = json!({"tenantID": tenant, "name": "x".repeat(1 << 20)}).to_string();
    assert_eq!(admin.call(Method::POST, "/v1/projects", Some(&huge)).await.status, 413);
    assert_eq!(admin.get("/v1/projects").await.json().as_array().unwrap().len(), 1);
}

async fn create(db: &TestDb, tenant: &str, name: &str) -> tenantry::base::Result<projects::Project> {
    projects::create(&platform_cx("project.create"), db, tenant, name).await
}

both_databases! {
    async fn names_that_are_alike_in_the_cluster_get_different_namespaces(db: TestDb) {
        for tenant in ["a-b", "a"] {
            tenants::create(&platform_cx("tenant.create"), &db, None, tenant).await.unwrap();
        }
        let mut made = Vec::new();
        for (tenant, name) in [("a-b", "c"), ("a", "b-c"), ("a", "B c"), ("a", "b/c")] {
            made.push(create(&db, tenant, name).await.unwrap());
        }
        projects::delete(&platform_cx("project.delete"), &db, &ManagerId::Project.show(made[0].id)).await.unwrap();
        made.push(create(&db, "a-b", "c").await.unwrap());
        let ledger = project_namespaces::Entity::find().all(db.orm()).await.unwrap();
        let name_of = |id| ledger.iter().find(|row| row.project_id == id).unwrap().name.clone();
        let names: Vec<_> = made.iter().map(|project| name_of(project.id)).collect();
        assert_eq!(names[0], "kubeop-a-b-c");
        let mut different = names.clone();
        different.sort();
        different.dedup();
        assert_eq!(different.len(), made.len(), "{names:?}");
        assert!(names.iter().all(|name| name.starts_with("kubeop-a-b-c")), "{names:?}");
    }

    async fn one_of_concurrent_creates_of_a_project_wins(db: TestDb) {
        tenants::create(&platform_cx("tenant.create"), &db, None, "acme").await.unwrap();
        let made = join_all((0..16).map(|_| create(&db, "acme", "web"))).await;
        assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1);
        assert!(made.iter().flat_map(|made| made.as_ref().err()).all(|error| error.reason == Reason::ProjectExists));
        assert_eq!(project_namespaces::Entity::find().all(db.orm()).await.unwrap().len(), 1);
    }

    async fn pages_have_each_project_once(db: TestDb) {
        tenants::create(&platform_cx("tenant.create"), &db, None, "acme").await.unwrap();
        for n in 0..7 {
            create(&db, "acme", &format!("p{n}")).await.unwrap();
        }
        let cx = platform_cx("x");
        let whole = projects::list(&cx, &db, "", Paging::Whole).await.unwrap();
        assert_eq!((whole.items.len(), whole.next), (7, None));
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = projects::list(&cx, &db, "acme", Paging::Page(3, after)).await.unwrap();
            seen.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, whole.items);
    }
}
