//! The warehouse's tenants over REST: every documented response and error text, in one conversation, on both databases.

use crate::{
    db,
    harness::{
        golden,
        http::Http,
        server::{Server, Setup},
        talk::{Line, Transcript},
    },
};

/// The static key.
const KEY: &str = "letmein";

const BETA: Option<&str> = Some(r#"{"name":"beta"}"#);
const OWN: Option<&str> = Some(r#"{"name":"acme","disabled":true}"#);
const OWN_ON: Option<&str> = Some(r#"{"name":"acme","disabled":false}"#);

#[rustfmt::skip]
const TENANTS: &[Line] = &[
    // Document 003, in its order.
    ("key", "GET", "/api/tenant/list", None),
    ("key", "POST", "/api/tenant/create", Some(r#"{"name":"acme"}"#)),
    ("key", "POST", "/api/tenant/create", Some(r#"{"name":"acme_kc","authProvider":"keycloak","authConfig":{"issuer":"https://kc.example.com/realms/acme","realm":"acme"}}"#)),
    ("key", "GET", "/api/tenant/list", None),
    ("key", "POST", "/api/tenant/setDisabled", OWN),
    ("key", "POST", "/api/tenant/setDisabled", OWN),
    ("key", "POST", "/api/tenant/setDisabled", OWN_ON),
    ("key", "POST", "/api/tenant/setDisabled", OWN_ON),
    ("key", "POST", "/api/tenant/setAuth", Some(r#"{"name":"acme_kc","authProvider":"db","authConfig":{}}"#)),
    ("key", "POST", "/api/tenant/delete", Some(r#"{"name":"acme_kc"}"#)),
    ("key", "POST", "/api/tenant/delete", Some(r#"{"name":"acme_kc"}"#)),
    // Create: the checks in their order.
    ("key", "POST", "/api/tenant/create", Some(r#"{"name":"ACME"}"#)),
    ("key", "POST", "/api/tenant/create", Some(r#"{"id":"Beta","displayName":"Beta Inc.","unknown":{"a":[1]}}"#)),
    ("key", "POST", "/api/tenant/create", Some(r#"{"name":"one","id":"two"}"#)),
    ("key", "POST", "/api/tenant/create", Some("{}")),
    ("key", "POST", "/api/tenant/create", None),
    ("key", "POST", "/api/tenant/create", Some(r#"{"name":""}"#)),
    ("key", "POST", "/api/tenant/create", Some(r#"{"name":null}"#)),
    ("key", "POST", "/api/tenant/create", Some(r#"{"name":"a-b"}"#)),
    ("key", "POST", "/api/tenant/create", Some(r#"{"name":"1a"}"#)),
    ("key", "POST", "/api/tenant/create", Some(r#"{"name":"tenänt"}"#)),
    ("key", "POST", "/api/tenant/create", Some(r#"{"name":"a';--"}"#)),
    ("key", "POST", "/api/tenant/create", Some(r#"{"name":"t_0191f3a47c107b2e9d315a6b7c8d9e0f"}"#)),
    ("key", "POST", "/api/tenant/create", Some(r#"{"name":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}"#)),
    ("key", "POST", "/api/tenant/create", Some(r#"{"name":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}"#)),
    ("key", "POST", "/api/tenant/create", Some(r#"{"name":"n","authProvider":"saml"}"#)),
    ("key", "POST", "/api/tenant/create", Some(r#"{"name":"a-b","authProvider":"saml"}"#)),
    ("key", "POST", "/api/tenant/create", Some(r#"{"name":"n","authConfig":{"issuer":"https://a"}}"#)),
    ("key", "POST", "/api/tenant/create", Some(r#"{"name":"n","authProvider":"google","authConfig":{"hd":"acme.com"}}"#)),
    ("key", "POST", "/api/tenant/create", Some(r#"{"name":"n","authProvider":"google","authConfig":{"issuer":"accounts.google.com","hd":"acme.com"}}"#)),
    ("key", "POST", "/api/tenant/create", Some(r#"{"name":"n","authProvider":"azure","authConfig":{"issuer":"https://login.example.com"}}"#)),
    ("key", "POST", "/api/tenant/create", Some(r#"{"name":"kc","authProvider":"keycloak","authConfig":{"issuer":"https://a","realm":"r","clientSecret":"hunter2","clientSecretRef":"env:KC"}}"#)),
    ("key", "POST", "/api/tenant/setAuth", Some(r#"{"name":"kc","authProvider":"keycloak","authConfig":{"issuer":"https://a","realm":"r","clientSecret":"***"}}"#)),
    ("key", "POST", "/api/tenant/delete", Some(r#"{"name":"KC"}"#)),
    ("key", "POST", "/api/tenant/delete", Some(r#"{"name":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}"#)),
    // Malformed requests.
    ("key", "POST", "/api/tenant/create", Some("{")),
    ("key", "POST", "/api/tenant/create", Some("[]")),
    ("key", "POST", "/api/tenant/create", Some(r#"{"name":1}"#)),
    ("key", "POST", "/api/tenant/create", Some(r#"{"Name":"x"}"#)),
    ("key", "POST", "/api/tenant/create", Some(r#"{"name":"x","name":"y"}"#)),
    ("key", "POST", "/api/tenant/create", Some(r#"{"name":"x","authConfig":{"issuer":1}}"#)),
    ("key", "POST", "/api/tenant/setDisabled", Some(r#"{"name":"acme"}"#)),
    ("key", "POST", "/api/tenant/setDisabled", Some(r#"{"disabled":true}"#)),
    ("key", "POST", "/api/tenant/setDisabled", Some(r#"{"name":"acme","disabled":"yes"}"#)),
    ("key", "POST", "/api/tenant/setDisabled", None),
    ("key", "POST", "/api/tenant/setAuth", Some(r#"{"name":"acme"}"#)),
    ("key", "POST", "/api/tenant/delete", Some("{}")),
    ("key", "GET", "/api/tenant/create", None),
    ("key", "POST", "/api/tenant/list", Some("{}")),
    ("key", "OPTIONS", "/api/tenant/list", None),
    ("key", "HEAD", "/api/tenant/list", None),
    ("key", "GET", "/api/tenant/list/", None),
    ("key", "GET", "/api/tenant/list?unknown=1", None),
    ("key", "GET", "/api/tenant", None),
    ("key", "GET", "/api/nowhere", None),
    // The order of the checks, and ids in every format.
    ("key", "POST", "/api/tenant/setAuth", Some(r#"{"name":"missing","authProvider":"saml"}"#)),
    ("key", "POST", "/api/tenant/setAuth", Some(r#"{"name":"missing","authProvider":"db","authConfig":{"a":"b"}}"#)),
    ("key", "POST", "/api/tenant/setAuth", Some(r#"{"name":"missing","authProvider":"db"}"#)),
    ("key", "POST", "/api/tenant/setAuth", Some(r#"{"name":"{acme.zero-trust}","authProvider":"aws","authConfig":{"issuer":"https://a","userPoolId":"eu-1"}}"#)),
    ("key", "POST", "/api/tenant/setDisabled", Some(r#"{"name":"missing","disabled":true}"#)),
    ("key", "POST", "/api/tenant/setDisabled", Some(r#"{"name":"t-00000000000000000000000000000000","disabled":true}"#)),
    ("key", "POST", "/api/tenant/setDisabled", Some(r#"{"name":"{acme.warehouse}","disabled":false}"#)),
    ("key", "POST", "/api/tenant/setDisabled", Some(r#"{"name":"{acme.manager}","disabled":false}"#)),
    ("key", "POST", "/api/tenant/setDisabled", Some(r#"{"name":"{acme.dashed}","disabled":false}"#)),
    // A name that another surface created, and its settings here.
    ("platform", "PUT", "/admin/v2/tenants/made-elsewhere", Some(r#"{"allowedClusters":["standalone"]}"#)),
    ("platform", "PUT", "/admin/v2/namespaces/made-elsewhere/orders", None),
    ("key", "GET", "/api/tenant/list", None),
    ("key", "POST", "/api/tenant/create", Some(r#"{"name":"made-elsewhere"}"#)),
    ("key", "POST", "/api/tenant/setDisabled", Some(r#"{"name":"made-elsewhere","disabled":true}"#)),
    ("key", "POST", "/api/tenant/delete", Some(r#"{"name":"made-elsewhere"}"#)),
    ("platform", "DELETE", "/admin/v2/namespaces/made-elsewhere/orders?force=true", None),
    ("key", "POST", "/api/tenant/delete", Some(r#"{"name":"Made-Elsewhere"}"#)),
    // Credentials.
    ("nobody", "GET", "/api/tenant/list", None),
    ("nobody", "POST", "/api/tenant/create", Some("{")),
    ("empty key", "GET", "/api/tenant/list", None),
    ("wrong key", "GET", "/api/tenant/list", None),
    ("key as bearer", "GET", "/api/tenant/list", None),
    ("other audience", "GET", "/api/tenant/list", None),
    ("platform", "GET", "/api/tenant/list", None),
    ("key", "GET", "/admin/v2/tenants", None),
    // Permissions.
    ("admin of acme", "GET", "/api/tenant/list", None),
    ("admin of acme", "POST", "/api/tenant/create", Some("{")),
    ("admin of acme", "POST", "/api/tenant/delete", Some(r#"{"name":"acme"}"#)),
    ("admin of acme", "POST", "/api/tenant/setAuth", Some(r#"{"name":"Acme","authProvider":"db"}"#)),
    ("admin of acme", "POST", "/api/tenant/setAuth", Some(r#"{"name":"{acme.manager}","authProvider":"db"}"#)),
    ("admin of acme", "POST", "/api/tenant/setAuth", Some(r#"{"name":"beta","authProvider":"saml"}"#)),
    ("admin of acme", "POST", "/api/tenant/setAuth", Some(r#"{"name":"missing","authProvider":"db"}"#)),
    ("admin of acme", "POST", "/api/tenant/setDisabled", Some(r#"{"name":"{beta.warehouse}","disabled":true}"#)),
    ("admin of acme", "POST", "/api/tenant/setDisabled", Some(r#"{"disabled":true}"#)),
    ("reader of acme", "GET", "/api/tenant/list", None),
    ("reader of acme", "POST", "/api/tenant/create", Some("{")),
    ("reader of acme", "POST", "/api/tenant/setDisabled", OWN),
    // Suspension: a tenant's administrator can lift what a tenant's administrator set.
    ("admin of acme", "POST", "/api/tenant/setDisabled", OWN),
    ("admin of acme", "GET", "/api/tenant/list", None),
    ("admin of acme", "POST", "/api/tenant/setAuth", Some(r#"{"name":"acme","authProvider":"db"}"#)),
    ("admin of acme", "POST", "/api/tenant/setDisabled", OWN),
    ("reader of acme", "POST", "/api/tenant/setDisabled", OWN_ON),
    ("admin of acme", "POST", "/api/tenant/setDisabled", OWN_ON),
    ("key", "POST", "/api/tenant/setDisabled", OWN),
    ("admin of acme", "POST", "/api/tenant/setDisabled", OWN_ON),
    ("key", "POST", "/api/tenant/setDisabled", OWN_ON),
    ("key", "POST", "/api/tenant/delete", BETA),
    ("key", "POST", "/api/tenant/create", BETA),
];

#[tokio::test]
async fn tenants_answer_as_documented_on_sqlite() {
    golden::check("warehouse/tenants.txt", &run_conversation(&setup().start().await).await);
}

#[tokio::test]
async fn tenants_answer_as_documented_on_postgres() {
    let setup = setup().database(db::postgres_unmigrated().await);
    golden::check("warehouse/tenants.txt", &run_conversation(&setup.start().await).await);
}

#[tokio::test]
async fn the_limit_on_tenants_is_reported() {
    let server = setup().env("TENANTRY_MAX_TENANTS", "1").start().await;
    let key = server.http().header("x-api-key", KEY);
    let create = async |name: &str| {
        let body = format!(r#"{{"name":"{name}"}}"#);
        key.call(reqwest::Method::POST, "/api/tenant/create", Some(&body)).await
    };
    assert_eq!(create("one").await.status, 200);
    let refused = create("two").await;
    assert_eq!((refused.status, refused.json()["error"].as_str()), (409, Some("limit_reached")));
}

#[tokio::test]
async fn an_empty_key_is_refused() {
    let server = Setup::dev().env("QOD_API_KEY", "").start().await;
    for http in [server.http(), server.http().header("x-api-key", "")] {
        assert_eq!(http.get("/api/tenant/list").await.status, 401);
    }
}

#[tokio::test]
async fn no_spelling_of_a_path_bypasses_the_guard() {
    let server = setup().start().await;
    let nobody = server.http();
    // The same path by its decoded segments: the same guard.
    for path in ["/%61pi/tenant/list", "/api/ten%61nt/list", "/api/tenant/%6c%69%73%74", "/a%70i/%74enant/list"] {
        let head = format!("GET {path} HTTP/1.1");
        let answer = nobody.raw(&head, "").await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{path}: {answer}");
        let answer = server.http().header("x-api-key", KEY).get(path).await;
        assert_eq!(answer.status, 200, "{path}");
    }
    // Other paths: they do not exist for any caller, and none leads out of the public ones.
    for path in [
        "////api/tenant/list",
        "//api/tenant/list",
        "/api//tenant/list",
        "/api/%61uth/../tenant/list",
        "/api/auth/login/../../tenant/list",
        "/api/auth/%2e%2e/tenant/list",
        "/api/auth%2F..%2Ftenant/list",
        "/api/auth/login%2F..%2F..%2Ftenant%2Flist",
        "/api/./tenant/list",
        "/api/tenant/list%00",
        "/api/tenant/list;x=1",
        "/api/tenant%2Flist",
        "/API/tenant/list",
    ] {
        let answer = nobody.raw(&format!("GET {path} HTTP/1.1"), "").await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
        assert!(!answer.contains("tenants"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_body_must_be_json_of_bounded_length() {
    let server = setup().start().await;
    let admin = server.admin();
    let body = r#"{"name":"acme"}"#;
    for kind in ["", "Content-Type: text/plain\r\n", "Content-Type: application/x-www-form-urlencoded\r\n"] {
        let head = format!("POST /api/tenant/create HTTP/1.1\r\n{kind}Content-Length: {}", body.len());
        let answer = admin.raw(&head, body).await;
        assert!(
            answer.starts_with("HTTP/1.1 415") && answer.contains(r#"{"error":"unsupported_media_type""#),
            "{answer}"
        );
    }
    let long = format!(r#"{{"name":"{}"}}"#, "x".repeat(300_000));
    let answer = admin.call(reqwest::Method::POST, "/api/tenant/create", Some(&long)).await;
    assert_eq!((answer.status, answer.json()["error"].as_str()), (413, Some("payload_too_large")), "{answer:?}");
}

fn setup() -> Setup {
    Setup::dev().env("QOD_API_KEY", KEY)
}

async fn run_conversation(server: &Server) -> String {
    let mut talk = Transcript::default();
    for line in TENANTS {
        talk.say(&caller(server, line.0).await, line).await;
    }
    talk.end()
}

/// The caller. Tokens of a tenant are minted right before use, because they contain the id of the current
/// tenant of that name.
async fn caller(server: &Server, who: &str) -> Http {
    let (http, setup) = (server.http(), server.setup());
    match who {
        "nobody" => http,
        "platform" => server.admin(),
        "key" => http.header("x-api-key", KEY),
        "empty key" => http.header("x-api-key", ""),
        "wrong key" => http.header("x-api-key", "letmeinn"),
        "key as bearer" => http.token(KEY),
        "other audience" => http.token(setup.mint(&["--role", "platform_admin", "--audience", "messaging"]).await),
        "admin of acme" => http.token(setup.mint(&["--role", "admin", "--tenant", "acme"]).await),
        "reader of acme" => http.token(setup.mint(&["--role", "read_only", "--tenant", "acme"]).await),
        other => panic!("unknown caller {other}"),
    }
}
