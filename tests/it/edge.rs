//! Proxies, pages of other origins, compression, and the security headers of REST responses.

use sea_orm::EntityTrait;
use tenantry::store::{Store, StoreConfig, tables::audit_events};

use crate::harness::{
    eventually,
    server::{Server, Setup},
};

const CONSOLE: &str = "https://console.example";

/// The access log line of the call with this id.
async fn line(server: &Server, id: &str) -> serde_json::Value {
    eventually("the call's line", async || {
        let log = server.log();
        let line = log.lines().find(|line| line.contains(id))?;
        Some(serde_json::from_str(line).unwrap())
    })
    .await
}

#[tokio::test]
async fn headers_of_trusted_proxies_are_used() {
    let head = |id: &str| {
        format!("GET /admin/v2/tenants HTTP/1.1\r\nX-Request-Id: {id}\r\nX-Forwarded-For: 1.1.1.1, 198.51.100.7")
    };
    for (trusted, client) in [("", "127.0.0.1"), ("10.0.0.0/8", "127.0.0.1"), ("127.0.0.0/8, ::1", "198.51.100.7")] {
        let server = Setup::dev().env("TENANTRY_TRUSTED_PROXIES", trusted).start().await;
        let answer = server.http().raw(&head("spoof-1"), "").await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
        let line = line(&server, "spoof-1").await;
        assert_eq!(line["client"], client, "{line}");
        assert!(line["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    }
}

#[tokio::test]
async fn a_client_with_an_unknown_address_is_in_no_network() {
    let server = Setup::dev().env("TENANTRY_TRUSTED_PROXIES", "127.0.0.1").start().await;
    let admin = server.admin().header("x-forwarded-for", "127.0.0.9");
    let tenant = r#"{"action":"create","name":"Acme","slug":"acme"}"#;
    let made = admin.call(reqwest::Method::POST, "/v1/admin/tenants/lifecycle", Some(tenant)).await;
    assert_eq!(made.status, 201, "{made:?}");
    let key = r#"{"tenant_id":"acme","name":"inside","role":"admin","allowed_cidrs":["127.0.0.0/8"]}"#;
    let key = admin.call(reqwest::Method::POST, "/v1/admin/api-keys", Some(key)).await;
    let key = key.json()["api_key"].as_str().unwrap().to_owned();
    let inside = server.http().token(&key);
    for (n, (headers, client, status)) in [
        ("X-Forwarded-For: 127.0.0.9", "127.0.0.9", 200),
        ("X-Forwarded-For: 198.51.100.7", "198.51.100.7", 401),
        ("X-Forwarded-For: 127.0.0.1, 198.51.100.7", "198.51.100.7", 401),
        ("X-Forwarded-For: \u{fc}, 198.51.100.7", "198.51.100.7", 401),
        ("X-Forwarded-For: 127.0.0.1, \u{fc}", "unknown", 401),
        // The proxy sets one of the two headers; a forged value of the other one is ignored.
        ("X-Forwarded-For: 127.0.0.9\r\nForwarded: for=1.2.3.4", "127.0.0.9", 200),
        ("X-Forwarded-For: 198.51.100.7\r\nForwarded: for=127.0.0.9", "198.51.100.7", 401),
        ("Forwarded: for=127.0.0.9", "unknown", 401),
        ("X-Forwarded-For: unknown", "unknown", 401),
        ("Forwarded: for=_hidden", "unknown", 401),
        ("X-Forwarded-Proto: https", "unknown", 401),
        ("Accept: */*", "unknown", 401),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("told-{n}");
        let answer = inside.raw(&format!("GET /v1/admin/users HTTP/1.1\r\nX-Request-Id: {id}\r\n{headers}"), "").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{headers}: {answer}");
        assert_eq!(line(&server, &id).await["client"], client, "{headers}");
    }
}

#[tokio::test]
async fn a_trusted_proxys_address_is_never_the_client_address() {
    let server = Setup::dev().env("TENANTRY_TRUSTED_PROXIES", "127.0.0.0/8").start().await;
    let tenant = r#"{"action":"create","name":"Acme","slug":"acme"}"#;
    let made = server.admin().call(reqwest::Method::POST, "/v1/admin/tenants/lifecycle", Some(tenant)).await;
    assert_eq!(made.status, 201, "{made:?}");
    let key = r#"{"tenant_id":"acme","name":"inside","role":"admin","allowed_cidrs":["127.0.0.0/8"]}"#;
    let key = server.admin().call(reqwest::Method::POST, "/v1/admin/api-keys", Some(key)).await;
    let inside = server.http().token(key.json()["api_key"].as_str().unwrap());
    // The outer proxy removes the header, and the inner one adds the outer one's address.
    for (n, reported) in ["127.0.0.9", "127.0.0.8, 127.0.0.9", "::ffff:127.0.0.9"].into_iter().enumerate() {
        let id = format!("outer-{n}");
        let head = format!("X-Request-Id: {id}\r\nX-Forwarded-For: {reported}");
        let answer = inside.raw(&format!("GET /v1/admin/users HTTP/1.1\r\n{head}"), "").await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{reported}: {answer}");
        assert_eq!(line(&server, &id).await["client"], "unknown", "{reported}");
        let open = server.http().header("x-forwarded-for", reported).get("/v1/tenants").await;
        assert_eq!(open.status, 401, "the client must not be treated as local: {reported}: {open:?}");
    }
    let reported = server.http().header("x-forwarded-for", "::1").get("/v1/tenants").await;
    assert_eq!(reported.status, 200, "the client must be treated as local: {reported:?}");
}

#[tokio::test]
async fn the_audit_log_has_the_clients_address() {
    let setup = Setup::dev().env("TENANTRY_TRUSTED_PROXIES", "127.0.0.1").env("TENANTRY_PROXY_HEADERS", "forwarded");
    let mut server = setup.start().await;
    let body = r#"{"allowedClusters":["standalone"]}"#;
    let head = format!(
        "PUT /admin/v2/tenants/acme HTTP/1.1\r\nForwarded: for=\"[2001:db8::7]:4711\"\r\n\
         X-Forwarded-For: 192.0.2.9\r\n\
         Content-Type: application/json\r\nContent-Length: {}",
        body.len()
    );
    let answer = server.admin().raw(&head, body).await;
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    server.terminate().await;
    server.ended().await;
    let url = format!("sqlite:{}", server.setup().data_dir().join("tenantry.db").display());
    let store = Store::open(StoreConfig::new(&url)).await.unwrap();
    let events = audit_events::Entity::find().all(store.orm()).await.unwrap();
    let created = events.iter().find(|event| event.action == "tenant.create").unwrap();
    let details: serde_json::Value = serde_json::from_str(&created.details).unwrap();
    assert_eq!(details["client"], "2001:db8::7");
    store.close().await;
}

#[tokio::test]
async fn pages_of_listed_origins_may_call() {
    let server = Setup::dev().env("TENANTRY_CORS_ORIGINS", CONSOLE).start().await;
    let of = async |head: &str, origin: &str| {
        server.http().raw(&format!("{head}\r\nOrigin: {origin}"), "").await.to_ascii_lowercase()
    };
    let allowed = format!("\r\naccess-control-allow-origin: {CONSOLE}\r\n");
    let preflight = "OPTIONS /admin/v2/tenants/acme HTTP/1.1\r\nAccess-Control-Request-Method: PUT";
    let answer = of(preflight, CONSOLE).await;
    assert!(answer.starts_with("http/1.1 200") && answer.contains(&allowed), "{answer}");
    assert!(answer.contains("access-control-allow-headers: authorization,content-type,"), "{answer}");
    let answer = of("GET /admin/v2/tenants HTTP/1.1", CONSOLE).await;
    assert!(answer.starts_with("http/1.1 401") && answer.contains(&allowed), "{answer}");
    let answer = of("GET /nowhere HTTP/1.1", CONSOLE).await;
    assert!(answer.starts_with("http/1.1 404") && answer.contains(&allowed), "{answer}");
    for head in [preflight, "GET /admin/v2/tenants HTTP/1.1"] {
        let answer = of(head, "https://evil.example").await;
        assert!(!answer.contains("access-control-allow") && answer.contains("vary: origin"), "{answer}");
    }
    let web = "POST /tenantry.messaging.v2.ClusterService/ListClusters HTTP/1.1\r\n\
               Content-Type: application/grpc-web+proto\r\nContent-Length: 0";
    let answer = of(web, CONSOLE).await;
    assert!(answer.contains("grpc-status: 16") && answer.contains(&allowed), "{answer}");
}

#[tokio::test]
async fn without_the_setting_other_origins_are_refused() {
    let server = Server::dev().await;
    let answer = server.http().raw(&format!("GET /healthz HTTP/1.1\r\nOrigin: {CONSOLE}"), "").await;
    let answer = answer.to_ascii_lowercase();
    assert!(!answer.contains("access-control") && !answer.contains("vary"), "{answer}");
    assert!(answer.contains("x-content-type-options: nosniff"), "{answer}");
}

#[tokio::test]
async fn large_responses_are_compressed_for_clients_that_accept_it() {
    let server = Setup::dev().start().await;
    let admin = server.admin();
    for n in 0..12 {
        let tenant = format!("{}-{n:02}", "acme".repeat(24));
        let made = admin.put(&format!("/admin/v2/tenants/{tenant}"), r#"{"allowedClusters":["standalone"]}"#).await;
        assert_eq!(made.status, 204, "{made:?}");
    }
    let plain = admin.get("/admin/v2/tenants").await;
    assert_eq!((plain.header("content-encoding"), plain.body.len() > 1024), (None, true));
    for coding in ["gzip", "zstd"] {
        let packed = server.admin().header("accept-encoding", coding).get("/admin/v2/tenants").await;
        assert_eq!((packed.status, packed.header("content-encoding")), (200, Some(coding)));
        assert_eq!(
            (packed.header("vary"), packed.header("cache-control")),
            (Some("accept-encoding"), Some("no-store"))
        );
        assert!(packed.body.len() < 512, "{} bytes", packed.body.len());
    }
    let small = server.admin().header("accept-encoding", "gzip").get("/admin/v2/clusters").await;
    assert_eq!(small.header("content-encoding"), None);
}
