//! The manager's tenants over REST: every documented response and error, and the permissions, on both databases.

use std::{collections::BTreeMap, fmt::Write as _};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    db,
    harness::{
        golden,
        http::Http,
        server::{Server, Setup},
        talk::{Line, Transcript},
    },
};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

#[rustfmt::skip]
const TENANTS: &[Line] = &[
    // Document 002, in its order.
    ("admin", "GET", "/v1/tenants", None),
    ("admin", "POST", "/v1/tenants", Some(r#"{"name":"acme"}"#)),
    ("admin", "GET", "/v1/tenants", None),
    ("admin", "GET", "/v1/tenants/{acme.manager}", None),
    ("admin", "PUT", "/v1/tenants", Some(r#"{"ID":"{acme.manager}","Name":"acme-inc"}"#)),
    ("admin", "GET", "/v1/tenants/{acme.manager}", None),
    ("admin", "DELETE", "/v1/tenants/{acme.manager}", None),
    ("admin", "DELETE", "/v1/tenants/{acme.manager}", None),
    ("admin", "GET", "/v1/tenants/{acme.manager}", None),
    // Create: names and keys.
    ("admin", "POST", "/v1/tenants", Some(r#"{"NAME":"first","unknown":[1]}"#)),
    ("admin", "POST", "/v1/tenants", Some(r#"{"Name":"second"}"#)),
    ("admin", "GET", "/v1/tenants/", None),
    ("admin", "POST", "/v1/tenants", Some(r#"{"name":"FIRST"}"#)),
    ("admin", "POST", "/v1/tenants", Some("{}")),
    ("admin", "POST", "/v1/tenants", None),
    ("admin", "POST", "/v1/tenants", Some(r#"{"name":""}"#)),
    ("admin", "POST", "/v1/tenants", Some(r#"{"name":null}"#)),
    ("admin", "POST", "/v1/tenants", Some(r#"{"name":" first"}"#)),
    ("admin", "POST", "/v1/tenants", Some(r#"{"name":"a/b"}"#)),
    ("admin", "POST", "/v1/tenants", Some(r#"{"name":"t_0191f3a47c107b2e9d315a6b7c8d9e0f"}"#)),
    ("admin", "POST", "/v1/tenants", Some(r#"{"name":1}"#)),
    ("admin", "POST", "/v1/tenants", Some(r#"{"name":"x","Name":"y"}"#)),
    ("admin", "POST", "/v1/tenants", Some("{")),
    ("admin", "POST", "/v1/tenants", Some("[]")),
    ("admin", "POST", "/v1/tenants", Some(r#"{"name":"x"} {}"#)),
    // Get: ids in every format, and invalid ones.
    ("admin", "GET", "/v1/tenants/{first.dashed}", None),
    ("admin", "GET", "/v1/tenants/{first.warehouse}", None),
    ("admin", "GET", "/v1/tenants/{first.zero-trust}", None),
    ("admin", "GET", "/v1/tenants/First", None),
    ("admin", "GET", "/v1/tenants/t_00000000000000000000000000000000", None),
    ("admin", "GET", "/v1/tenants/not%20an%20id", None),
    ("admin", "GET", "/v1/tenants/a/b", None),
    ("admin", "HEAD", "/v1/tenants", None),
    ("admin", "OPTIONS", "/v1/tenants", None),
    ("admin", "POST", "/v1/tenants/{first.manager}", Some("{}")),
    ("admin", "DELETE", "/v1/tenants", None),
    ("admin", "GET", "/v1/jwt/project", None),
    ("admin", "GET", "/v1/projects", None),
    ("admin", "GET", "/v1/tenants/%zz", None),
    // Update.
    ("admin", "PUT", "/v1/tenants", Some(r#"{"id":"{first.manager}"}"#)),
    ("admin", "PUT", "/v1/tenants", Some(r#"{"Name":"x"}"#)),
    ("admin", "PUT", "/v1/tenants", Some(r#"{"ID":"","Name":"x"}"#)),
    ("admin", "PUT", "/v1/tenants", Some(r#"{"ID":"missing","Name":"x"}"#)),
    ("admin", "PUT", "/v1/tenants", Some(r#"{"ID":"missing","Name":"a b"}"#)),
    ("admin", "PUT", "/v1/tenants", Some(r#"{"ID":"{first.manager}","Name":"Second"}"#)),
    ("admin", "PUT", "/v1/tenants", Some(r#"{"ID":"{first.manager}","Name":"First"}"#)),
    ("admin", "PATCH", "/v1/tenants", Some(r#"{"ID":"{first.manager}"}"#)),
    ("admin", "PATCH", "/v1/tenants", Some(r#"{"id":"{first.warehouse}","name":"third"}"#)),
    ("admin", "PATCH", "/v1/tenants", Some(r#"{"ID":"missing"}"#)),
    ("admin", "PATCH", "/v1/tenants", Some(r#"{"Name":"x"}"#)),
    ("admin", "PATCH", "/v1/tenants", Some(r#"{"ID":"{first.manager}","Name":""}"#)),
    ("admin", "GET", "/v1/tenants", None),
    // Resources of other surfaces.
    ("admin", "PUT", "/admin/v2/namespaces/third/orders", None),
    ("admin", "DELETE", "/v1/tenants/{first.manager}", None),
    ("admin", "DELETE", "/admin/v2/namespaces/third/orders?force=true", None),
    ("admin", "DELETE", "/v1/tenants/THIRD", None),
    ("admin", "GET", "/v1/tenants", None),
];

pub(super) fn setup() -> Setup {
    Setup::dev().env("KUBEOP_REQUIRE_AUTH", "true").env("KUBEOP_JWT_SIGNING_KEY", STANDARD.encode(SECRET))
}

async fn run_conversation(server: &Server) -> String {
    let (mut talk, admin) = (Transcript::default(), server.admin());
    for line in TENANTS {
        talk.say(&admin, line).await;
    }
    talk.end()
}

#[tokio::test]
async fn tenants_answer_as_documented_on_sqlite() {
    golden::check("manager/tenants.txt", &run_conversation(&setup().start().await).await);
}

#[tokio::test]
async fn tenants_answer_as_documented_on_postgres() {
    let setup = setup().database(db::postgres_unmigrated().await);
    golden::check("manager/tenants.txt", &run_conversation(&setup.start().await).await);
}

/// Requests sent as each caller; `T` is a tenant, `O` another one, `{P}` and `{A}` a project and an app of `T`, `{N}` a name that no
/// other caller sends.
#[rustfmt::skip]
const REQUESTS: &[(&str, &str, Option<&str>)] = &[
    ("GET", "/v1/tenants", None),
    ("POST", "/v1/tenants", Some(r#"{"name":"fresh"}"#)),
    ("POST", "/v1/tenants", Some("{")),
    ("PUT", "/v1/tenants", Some(r#"{"ID":"T","Name":"acme"}"#)),
    ("PUT", "/v1/tenants", Some("{}")),
    ("PATCH", "/v1/tenants", Some(r#"{"ID":"T"}"#)),
    ("GET", "/v1/tenants/T", None),
    ("GET", "/v1/tenants/O", None),
    ("GET", "/v1/tenants/t_00000000000000000000000000000000", None),
    ("GET", "/v1/tenants/malformed", None),
    ("GET", "/v1/projects", None),
    ("GET", "/v1/projects?tenantID={T}", None),
    ("GET", "/v1/projects?tenantID=missing", None),
    ("POST", "/v1/projects", Some(r#"{"tenantID":"{T}","name":"{N}"}"#)),
    ("POST", "/v1/projects", Some(r#"{"tenantID":"{T}","name":""}"#)),
    ("PUT", "/v1/projects", Some(r#"{"ID":"{P}","Name":"web"}"#)),
    ("PUT", "/v1/projects", Some("{}")),
    ("PATCH", "/v1/projects", Some(r#"{"ID":"{P}"}"#)),
    ("GET", "/v1/projects/{P}", None),
    ("GET", "/v1/projects/p_00000000000000000000000000000000", None),
    ("GET", "/v1/projects/malformed", None),
    ("POST", "/v1/jwt/project", Some(r#"{"ProjectID":"{P}","TTLMinutes":1}"#)),
    ("POST", "/v1/jwt/project", Some("{}")),
    ("GET", "/v1/apps", None),
    ("GET", "/v1/apps?projectID={P}", None),
    ("POST", "/v1/apps", Some(r#"{"projectID":"{P}","name":"{N}"}"#)),
    ("POST", "/v1/apps", Some("{}")),
    ("PUT", "/v1/apps", Some(r#"{"ID":"{A}","Name":"app"}"#)),
    ("PATCH", "/v1/apps", Some(r#"{"ID":"{A}"}"#)),
    ("GET", "/v1/apps/{A}", None),
    ("GET", "/v1/apps/malformed", None),
    ("GET", "/v1/platform/policy", None),
    ("PUT", "/v1/platform/policy", Some("{}")),
    ("PUT", "/v1/platform/policy", Some("[]")),
    ("DELETE", "/v1/apps/{A}", None),
    ("DELETE", "/v1/projects/{P}", None),
    ("DELETE", "/v1/tenants/O", None),
];

#[tokio::test]
async fn the_documented_roles_have_the_documented_permissions() {
    let server = setup().start().await;
    let (acme, beta) = (create(&server.admin(), "acme").await, create(&server.admin(), "beta").await);
    let made = |path, body: Value| create_at(server.admin(), path, body);
    let project = made("/v1/projects", json!({"tenantID": acme, "name": "web"})).await;
    let app = made("/v1/apps", json!({"projectID": project, "name": "app"})).await;
    let mut written = String::from("Statuses by request and caller. T is the caller's tenant, O is another one.\n");
    let mut rows: BTreeMap<usize, Vec<u16>> = BTreeMap::new();
    let callers = callers(&server, &acme, &beta, &project);
    // The administrator is last, because it creates and deletes.
    for (name, http) in &callers {
        let filled = |text: &str| {
            let text = text.replace("{T}", &acme).replace("{P}", &project).replace("{A}", &app);
            text.replace("{N}", &format!("of {name}"))
        };
        for (row, (method, path, body)) in REQUESTS.iter().enumerate() {
            let path = filled(path).replace("/T", &format!("/{acme}")).replace("/O", &format!("/{beta}"));
            let body = body.map(|body| filled(body).replace("\"T\"", &format!("\"{acme}\"")));
            let answer = http.call(method.parse().unwrap(), &path, body.as_deref()).await;
            rows.entry(row).or_default().push(answer.status);
        }
    }
    let names: Vec<_> = callers.iter().map(|(name, _)| *name).collect();
    writeln!(written, "{:<75}{}", "", names.join(" | ")).unwrap();
    for (row, (method, path, body)) in REQUESTS.iter().enumerate() {
        let cells: Vec<_> = rows[&row]
            .iter()
            .zip(&names)
            .map(|(status, name)| format!("{status:<width$}", width = name.len()))
            .collect();
        let request = format!("{method} {path} {}", body.unwrap_or_default());
        writeln!(written, "{request:<75}{}", cells.join(" | ").trim_end()).unwrap();
    }
    golden::check("manager/matrix.txt", &written);
}

fn callers(server: &Server, acme: &str, beta: &str, project: &str) -> Vec<(&'static str, Http)> {
    let hour = time::OffsetDateTime::now_utc().unix_timestamp() + 3600;
    let with = |claims: Value| server.http().token(signed(SECRET, claims));
    let tenant = |id: &str| with(json!({"role": "tenant", "scope": format!("tenant:{id}"), "exp": hour}));
    let admin = json!({"role": "admin", "exp": hour});
    vec![
        ("none", server.http()),
        ("basic", server.http().header("authorization", "Basic YWRtaW46YWRtaW4=")),
        ("malformed", server.http().token("not.a.token")),
        ("expired", with(json!({"role": "admin", "exp": hour - 7200}))),
        ("wrong key", server.http().token(signed(b"another key of thirty-two bytes!!", admin.clone()))),
        ("no end", with(json!({"role": "admin"}))),
        ("no role", with(json!({"exp": hour}))),
        ("tenant T", tenant(acme)),
        ("tenant T by name", tenant("ACME")),
        ("tenant O", tenant(beta)),
        ("project P", with(json!({"role": "project", "scope": format!("project:{project}"), "exp": hour}))),
        ("project", with(json!({"role": "project", "scope": "project:p_1", "exp": hour}))),
        ("admin", with(admin)),
    ]
}

fn signed(secret: &[u8], mut claims: Value) -> String {
    claims["iat"] = json!(time::OffsetDateTime::now_utc().unix_timestamp());
    let [header, claims] =
        [json!({"alg": "HS256", "typ": "JWT"}), claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let message = format!("{header}.{claims}");
    let hash = Hmac::<Sha256>::new_from_slice(secret).unwrap().chain_update(&message).finalize().into_bytes();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(hash))
}

async fn create_at(http: Http, path: &str, body: Value) -> String {
    let answer = http.call(Method::POST, path, Some(&body.to_string())).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// A token with these claims that is valid for an hour, signed with the key of [`setup`].
pub(super) fn signed_by_key(claims: &Value) -> String {
    let mut claims = claims.clone();
    claims["exp"] = json!(time::OffsetDateTime::now_utc().unix_timestamp() + 3600);
    signed(SECRET, claims)
}

async fn create(http: &Http, name: &str) -> String {
    let answer = http.call(Method::POST, "/v1/tenants", Some(&format!(r#"{{"name":"{name}"}}"#))).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_manager_token_is_refused_on_other_surfaces() {
    let server = setup().start().await;
    let hour = time::OffsetDateTime::now_utc().unix_timestamp() + 3600;
    let admin = server.http().token(signed(SECRET, json!({"role": "admin", "exp": hour})));
    assert_eq!(admin.get("/v1/tenants").await.status, 200);
    for path in ["/api/tenant/list", "/admin/v2/tenants"] {
        assert_eq!(admin.get(path).await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn the_limit_on_tenants_is_reported() {
    let server = setup().env("TENANTRY_MAX_TENANTS", "1").start().await;
    create(&server.admin(), "one").await;
    let refused = server.admin().call(Method::POST, "/v1/tenants", Some(r#"{"name":"two"}"#)).await;
    assert_eq!((refused.status, refused.json()["error"].as_str()), (409, Some("limit")));
}
