//! Watches of signed artifacts over REST.

use bundle_verify::{AnchorSet, Kind, Shelf};
use serde_json::{Value, json};
use tenantry_gateway_sim::{Enrolled, Selected};
use time::OffsetDateTime;

use super::{TENANT, plan, publisher, serve, token, url};
use crate::harness::{http::Http, server::Server};

const POLICY: &str = "/v1/gateway/runtime/policy-bundle";

/// A client whose next call is a GET of this path by a gateway.
pub(super) fn of_gateway(server: &Server, enrolled: &Enrolled, path: &str) -> Http {
    let (target, at) = (format!("{}{path}", url(server)), enrolled.clock.unix() + enrolled.server_ahead);
    let proof = enrolled.key.dpop_at("GET", &target, &enrolled.device_token, at);
    server.http().header("authorization", &format!("DPoP {}", enrolled.device_token)).header("dpop", &proof)
}

/// A field of an event.
fn field<'e>(event: &'e [(String, String)], name: &str) -> &'e str {
    &event.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("{event:?}")).1
}

fn data(event: &[(String, String)]) -> Value {
    serde_json::from_str(field(event, "data")).unwrap()
}

both_databases! {
    async fn a_gateway_watches_its_policies(db: TestDb) {
        let (server, pool) = serve(&db).await;
        let token = token(&server, &pool, 1).await;
        let enrolled = plan(&url(&server)).enroll(&token, 1).await.unwrap().remove(0);
        let publisher = publisher(&server, &url(&server));
        let (mut shelf, now) = (Shelf::default(), OffsetDateTime::now_utc().unix_timestamp());
        let watch = format!("{POLICY}/watch");
        let open = async |resume: &str| {
            let http = of_gateway(&server, &enrolled, &watch).header("accept", "text/event-stream");
            http.header("last-event-id", resume).stream(&watch).await
        };
        // Nothing is published.
        assert_eq!(of_gateway(&server, &enrolled, POLICY).get(POLICY).await.status, 404);
        let mut events = open("unknown").await;
        let event = events.event().await.unwrap();
        assert_eq!((field(&event, "event"), &data(&event)["envelope"]), ("bookmark", &Value::Null));
        let (version, _) = publisher.publish(Selected::Stable, 1).await.unwrap();
        let event = events.event().await.unwrap();
        assert_eq!((field(&event, "event"), &data(&event)["version"]), ("state", &json!(version)));
        let envelope = data(&event)["envelope"].to_string();
        let accepted = shelf.accept(&enrolled.anchors, Kind::GatewayPolicy, envelope.as_bytes(), now).unwrap();
        assert_eq!(field(&event, "id"), accepted.digest);
        let read = of_gateway(&server, &enrolled, POLICY).get(POLICY).await;
        assert_eq!(read.header("etag"), Some(format!("\"{}\"", accepted.digest).as_str()), "{read:?}");
        // A client that has it resumes with it.
        let mut resumed = open(&accepted.digest).await;
        let event = resumed.event().await.unwrap();
        assert_eq!((field(&event, "event"), field(&event, "id")), ("bookmark", accepted.digest.as_str()));
        let (next, _) = publisher.publish(Selected::Stable, 2).await.unwrap();
        for events in [&mut events, &mut resumed] {
            assert_eq!(data(&events.event().await.unwrap())["version"], json!(next));
        }
        // The server says goodbye.
        server.terminate().await;
        let event = events.event().await.unwrap();
        assert_eq!(field(&event, "event"), "drain");
        assert!((0..=5000).contains(&data(&event)["reconnect_after_ms"].as_i64().unwrap()), "{event:?}");
        assert_eq!(field(&events.event().await.unwrap(), "event"), "error");
    }

    async fn administrators_watch_the_anchors_of_their_tenant(db: TestDb) {
        let (server, _) = serve(&db).await;
        let path = format!("/v1/trust/anchors/watch?tenant_id={TENANT}");
        let http = server.admin().header("accept", "application/x-ndjson");
        let mut lines = http.stream(&path).await;
        let state = lines.json().await.unwrap();
        assert_eq!((&state["type"], &state["version"]), (&json!("state"), &json!(1)));
        let anchors = AnchorSet::first(state["envelope"].to_string().as_bytes()).unwrap();
        assert_eq!(anchors.sequence, 1);
        let resume = format!("{path}&resume={}", state["resume"].as_str().unwrap());
        let mut lines = http.stream(&resume).await;
        assert_eq!(lines.json().await.unwrap()["type"], "bookmark");
        let unknown = server.admin().get("/v1/trust/anchors/watch?tenant_id=nobody").await;
        assert_eq!(unknown.status, 404, "{unknown:?}");
        let other = server.setup().mint(&["--role", "admin", "--tenant", "other"]).await;
        let other = server.http().token(other).get(&path).await;
        assert_eq!(other.status, 403, "{other:?}");
    }
}
