//! The manifest of a gateway.

use std::time::{Duration, Instant};

use bundle_verify::{Kind, Shelf};
use serde_json::Value;
use tenantry_gateway_sim::{Enrolled, Selected};
use time::OffsetDateTime;

use super::{plan, publisher, serve, token, url, watches::of_gateway};
use crate::harness::server::Server;

const PATH: &str = "/v1/gateway/runtime/auth-material-manifest";

/// Gets the manifest with this query, and verifies it: its sequence and its materials.
async fn accept(server: &Server, enrolled: &Enrolled, shelf: &mut Shelf, query: &str) -> (i64, Value) {
    let answer = of_gateway(server, enrolled, PATH).get(&format!("{PATH}{query}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let accepted = shelf.accept(&enrolled.anchors, Kind::AuthMaterialManifest, answer.body.as_bytes(), now).unwrap();
    assert_eq!(answer.header("etag"), Some(format!("\"{}\"", accepted.digest).as_str()));
    assert!(accepted.expires_at - accepted.issued_at <= 600, "{accepted:?}");
    let payload: Value = serde_json::from_slice(&accepted.payload).unwrap();
    (payload["sequence"].as_i64().unwrap(), payload)
}

both_databases! {
    async fn a_manifest_lists_what_a_gateway_gets(db: TestDb) {
        let (server, pool) = serve(&db).await;
        let token = token(&server, &pool, 1).await;
        let enrolled = plan(&url(&server)).enroll(&token, 1).await.unwrap().remove(0);
        let mut shelf = Shelf::default();
        let (first, payload) = accept(&server, &enrolled, &mut shelf, "").await;
        let names = |payload: &Value| {
            let materials = payload["materials"].as_array().unwrap().clone();
            materials.into_iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&payload), ["trust-anchors", "deployment-config", "spc-bundle"], "{payload}");
        assert_eq!(payload["kill_sessions"], serde_json::json!([]));
        // The same until something changes; a call that waits gets the next one at once.
        let (again, _) = accept(&server, &enrolled, &mut shelf, "").await;
        assert_eq!(again, first);
        let digest = shelf.current(Kind::AuthMaterialManifest, 0).unwrap().digest.clone();
        let known = format!("\"{digest}\"");
        let waits = format!("{PATH}?wait=30");
        let began = Instant::now();
        let publisher = publisher(&server, &url(&server));
        let http = of_gateway(&server, &enrolled, PATH).header("if-none-match", &known);
        // Whichever comes first: the call waits for the change, or finds it.
        let (answer, published) =
            tokio::join!(http.get(&waits), async { publisher.publish(Selected::Stable, 1).await.unwrap() });
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        let (next, payload) = accept(&server, &enrolled, &mut shelf, "").await;
        assert!(first < next, "{first} {next}");
        assert_eq!(names(&payload), ["trust-anchors", "policy-bundle", "deployment-config", "spc-bundle"]);
        // Each entry is what its path returns.
        for entry in payload["materials"].as_array().unwrap() {
            let path = entry["url"].as_str().unwrap();
            let answer = of_gateway(&server, &enrolled, path).get(path).await;
            let tag = format!("\"{}\"", entry["digest"].as_str().unwrap());
            assert_eq!(answer.header("etag"), Some(tag.as_str()), "{entry} {answer:?}");
        }
        let policy = payload["materials"].as_array().unwrap().iter().find(|entry| entry["name"] == "policy-bundle");
        assert_eq!(policy.unwrap()["version"], published.0);
    }
}
