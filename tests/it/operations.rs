//! What operators rely on: the probes, the version, the metrics, a clean shutdown.

use reqwest::Method;

use crate::harness::{
    PATIENCE,
    http::Http,
    server::{Server, Setup},
};

#[tokio::test]
async fn the_probes_answer_without_credentials() {
    let server = Server::dev().await;
    let health = server.http().get("/healthz").await;
    assert_eq!((health.status, health.json()), (200, serde_json::json!({"status": "ok"})));
    let ready = server.http().h2().get("/readyz").await;
    assert_eq!((ready.status, ready.json()), (200, serde_json::json!({"status": "ready"})));
    let version = server.http().get("/version").await.json();
    assert_eq!((&version["service"], &version["version"]), (&"tenantry".into(), &env!("CARGO_PKG_VERSION").into()));
    assert!(version["gitCommit"].is_string() && version["buildDate"].is_string(), "{version}");
}

#[tokio::test]
async fn warehouse_clients_get_their_configuration_before_login() {
    let server = Server::dev().await;
    let get = async |http: Http, path: &str| {
        let answer = http.get(path).await;
        (answer.status, answer.json())
    };
    let health = serde_json::json!({"status": "ok", "poolsCount": 0, "nodesCount": 0});
    assert_eq!(get(server.http(), "/health").await, (200, health));
    assert_eq!(get(server.http().h2(), "/ready").await, (200, serde_json::json!({"status": "ready"})));
    assert_eq!(server.http().call(Method::HEAD, "/ready", None).await.status, 200);
    assert_eq!(server.http().call(Method::POST, "/health", Some("{}")).await.status, 405);
    let usual = serde_json::json!({"flightSqlHost": "", "flightSqlPort": 31338, "flightSqlTls": true, "quackPort": 0});
    assert_eq!(get(server.http(), "/api/config/client").await, (200, usual.clone()));
    // An invalid credential does not matter where none is needed.
    assert_eq!(get(server.http().header("x-api-key", "old"), "/api/config/client").await, (200, usual));
    let unknown = get(server.http(), "/api/config/server").await;
    assert_eq!((unknown.0, &unknown.1["error"]), (404, &"not_found".into()));

    let edge = |name: &str| format!("TENANTRY_WAREHOUSE_EDGE_{name}");
    let setup = Setup::dev().env(&edge("HOST"), "sql.example.com").env("PROXY_PORT", "31000").env(&edge("TLS"), "no");
    let server = setup.start().await;
    let set = serde_json::json!(
        {"flightSqlHost": "sql.example.com", "flightSqlPort": 31000, "flightSqlTls": false, "quackPort": 0}
    );
    assert_eq!(get(server.http(), "/api/config/client").await, (200, set));
}

#[tokio::test]
async fn dev_starts_like_a_fresh_messaging_cluster() {
    for (setup, there) in [(Setup::plain(), true), (Setup::dev(), false)] {
        let server = setup.start().await;
        let tenants = server.admin().get("/admin/v2/tenants").await;
        assert_eq!(tenants.body, if there { r#"["public"]"# } else { "[]" });
        let namespaces = server.admin().get("/admin/v2/namespaces/public").await;
        assert_eq!(namespaces.status, if there { 200 } else { 404 });
        assert!(!there || namespaces.body == r#"["public/default"]"#, "{namespaces:?}");
    }
}

#[tokio::test]
async fn metrics_count_refused_calls_too() {
    let server = Server::dev().await;
    let refused = server.http().get("/admin/v2/tenants").await;
    assert_eq!(refused.status, 401, "{refused:?}");
    let metrics = server.http().get("/metrics").await;
    assert_eq!(metrics.status, 200);
    let counted =
        metrics.body.lines().any(|line| line.starts_with("http_server_request_duration") && line.contains("401"));
    assert!(counted, "{}", metrics.body);
}

#[tokio::test]
async fn sigterm_shuts_down_cleanly_and_keeps_the_data() {
    let setup = Setup::dev();
    let mut server = setup.start().await;
    let created = server.admin().put("/admin/v2/tenants/acme", r#"{"allowedClusters":["standalone"]}"#).await;
    assert_eq!(created.status, 204, "{created:?}");
    server.terminate().await;
    let status = server.ended().await;
    assert!(status.success(), "{status}");
    // No queued line is lost at shutdown.
    let id = created.header("x-request-id").unwrap();
    let reported = async || (server.log().contains(id) && server.log().contains("shutting down")).then_some(());
    crate::harness::eventually("the last lines of the log", reported).await;
    let server = setup.start().await;
    let tenant = server.admin().get("/admin/v2/tenants/acme").await;
    assert_eq!(
        tenant.shown(),
        "200\ncontent-type: application/json\n{\"adminRoles\":[],\"allowedClusters\":[\"standalone\"]}\n"
    );
}

#[tokio::test]
async fn a_call_in_flight_is_answered_during_shutdown() {
    let mut server = Server::dev().await;
    let body = r#"{"allowedClusters":["standalone"]}"#;
    // The head of the request is sent before the signal, the body only after it: the call has begun.
    let mut begun = server.admin().begin("PUT /admin/v2/tenants/slow HTTP/1.1", body.len()).await;
    // It has begun once the server has read the head.
    server.until_in_flight(1).await;
    server.terminate().await;
    let not_ready =
        async || server.http().try_get("/readyz").await.map_or(Some(()), |answer| (answer.status == 503).then_some(()));
    crate::harness::eventually("the server to say that it is no longer ready", not_ready).await;
    let answer = tokio::time::timeout(PATIENCE, begun.finish(body)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    assert!(server.ended().await.success());
}

#[tokio::test]
async fn metrics_name_the_rpc_and_the_template_and_no_tenant() {
    let server = Server::dev().await;
    let created = server.admin().put("/admin/v2/tenants/secretive", r#"{"allowedClusters":["standalone"]}"#).await;
    assert_eq!(created.status, 204, "{created:?}");
    let metrics = server.http().get("/metrics").await.body;
    assert!(metrics.contains(r#"http_route="/admin/v2/tenants/{tenant}""#), "{metrics}");
    assert!(!metrics.contains("secretive"), "{metrics}");
}

#[tokio::test]
async fn a_call_leaves_one_line_in_the_log_and_no_secret() {
    let server = Server::dev().await;
    let answer = server.admin().get("/admin/v2/tenants/acme").await;
    let id = answer.header("x-request-id").expect("a request id in the response").to_owned();
    crate::harness::eventually("the call's line", async || server.log().contains(&id).then_some(())).await;
    let log = server.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains(&id)).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line: serde_json::Value = serde_json::from_str(lines[0]).expect("JSON log lines without a terminal");
    assert!(lines[0].contains("404") && lines[0].contains("acme") && line["timestamp"].is_string(), "{line}");
    assert!(line["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")), "{line}");
    assert!(!log.contains(&server.admin_token()), "the log contains the token");
}
