//! How many streams a caller may have open. On SQLite alone: the database plays no part.

use reqwest::Method;
use serde_json::json;
use tenantry_gateway_sim::{Enrolled, Selected};
use tenantry_proto::edge::v1::Material;
use tonic::{Code, transport::Endpoint};

use super::{TENANT, metric, plan, publisher, raw::Raw, serve, token, url, watches::of_gateway};
use crate::harness::{eventually, http::Http, server::Server, stream::Stream};

/// The maximum.
const MOST: usize = 8;
const STREAMS: &str = "tenantry_gateway_streams";
const WATCH: &str = "/v1/gateway/runtime/policy-bundle/watch";

/// A server, and gateways on it.
async fn gateways(number: usize) -> (crate::db::TestDb, Server, Vec<Enrolled>) {
    let db = crate::db::sqlite().await;
    let (server, pool) = serve(&db).await;
    let token = token(&server, &pool, number).await;
    let enrolled = plan(&url(&server)).enroll(&token, number).await.unwrap();
    (db, server, enrolled)
}

/// An open stream, which has everything.
async fn open(url: &str, enrolled: &Enrolled) -> Raw {
    let mut raw = Raw::open(url, enrolled).await;
    raw.subscribe(&[Material::GatewayPolicy], Vec::new()).await;
    raw.next().await.unwrap();
    raw
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_further_stream_ends_the_oldest_one_of_its_gateway() {
    let (_db, server, enrolled) = gateways(2).await;
    let url = url(&server);
    let mut other = open(&url, &enrolled[1]).await;
    let mut oldest = open(&url, &enrolled[0]).await;
    let mut streams = Vec::new();
    for _ in 0..MOST {
        streams.push(open(&url, &enrolled[0]).await);
    }
    let status = oldest.next().await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert!(status.message().starts_with("you opened more than 8 streams"), "{status:?}");
    let (version, _) = publisher(&server, &url).publish(Selected::Stable, 1).await.unwrap();
    for stream in streams.iter_mut().chain([&mut other]) {
        assert_eq!(stream.update().await.number, version);
    }
    // However many are opened.
    let channel = plan(&url).server.channel(None).unwrap();
    for _ in 0..100 {
        let raw = Raw::over(channel.clone(), &url, &enrolled[0]).await;
        raw.subscribe(&[Material::GatewayPolicy], Vec::new()).await;
        streams.push(raw);
    }
    eventually("the others to end", async || (metric(&server, STREAMS).await == (MOST + 1) as f64).then_some(())).await;
    let (next, _) = publisher(&server, &url).publish(Selected::Stable, 2).await.unwrap();
    assert_eq!(other.update().await.number, next);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_reads_none_of_its_streams_gets_no_further_ones() {
    let (_db, server, enrolled) = gateways(2).await;
    let url = url(&server);
    // The server knows what it has to send.
    let mut other = Raw::open(&url, &enrolled[1]).await;
    other.subscribe(&[Material::TrustAnchors], Vec::new()).await;
    other.update().await;
    // Without a window, the first message stays at the server, and with it the stream, also after its end.
    let shut = Endpoint::from_shared(url.clone()).unwrap().initial_stream_window_size(0).connect_lazy();
    let mut streams = Vec::new();
    for number in 1..=2 * MOST {
        let raw = Raw::over(shut.clone(), &url, &enrolled[0]).await;
        raw.subscribe(&[Material::TrustAnchors], Vec::new()).await;
        streams.push(raw);
        let open = (1 + number) as f64;
        eventually("the stream", async || (metric(&server, STREAMS).await == open).then_some(())).await;
    }
    let Err(refused) = Raw::try_over(shut, &url, &enrolled[0]).await else { panic!("one more stream was opened") };
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    assert!(refused.message().contains("do not read"), "{refused:?}");
    drop(streams);
    eventually("a stream to be possible again", async || {
        Raw::try_over(plan(&url).server.channel(None).unwrap(), &url, &enrolled[0]).await.ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_over_rest_count_as_streams() {
    let (_db, server, enrolled) = gateways(1).await;
    let watch = async || {
        let http = of_gateway(&server, &enrolled[0], WATCH).header("accept", "application/x-ndjson");
        let mut lines = http.stream(WATCH).await;
        assert_eq!(lines.json().await.unwrap()["type"], "bookmark");
        lines
    };
    let mut oldest = watch().await;
    let mut further = Vec::new();
    for _ in 0..MOST - 1 {
        further.push(watch().await);
    }
    let mut stream = open(&url(&server), &enrolled[0]).await;
    let end = oldest.json().await.unwrap();
    assert!(end.to_string().contains("rate_limited") && end.to_string().contains("more than 8 streams"), "{end}");
    assert!(oldest.json().await.is_none());
    let (version, _) = publisher(&server, &url(&server)).publish(Selected::Stable, 1).await.unwrap();
    assert_eq!(stream.update().await.number, version);
    for lines in &mut further {
        assert_eq!(lines.json().await.unwrap()["version"], version);
    }
}

/// Opens a watch, and reads until its client knows that there is nothing newer.
async fn watch(http: &Http, path: &str) -> Stream {
    let mut lines = http.clone().header("accept", "application/x-ndjson").stream(path).await;
    while let Some(event) = lines.json().await {
        let kind = event.get("type").unwrap_or_else(|| panic!("{path}: {event}"));
        if ["bookmark", "EVENT_TYPE_BOOKMARK", "state"].iter().any(|last| kind == last) {
            return lines;
        }
    }
    panic!("the watch of {path} ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn administrators_and_api_keys_have_as_many() {
    let db = crate::db::sqlite().await;
    let (server, _) = serve(&db).await;
    let anchors = "/v1/trust/anchors/watch";
    // Whatever they watch. Another token is another caller.
    let paths = [anchors, "/v1/spc/bundle/watch", "/v1/admin/policy/rollout/watch", "/registry/v1/tenants:watch"];
    let minted = async || server.http().token(server.setup().mint(&["--role", "admin", "--tenant", TENANT]).await);
    let (admin, colleague) = (minted().await, minted().await);
    let key = json!({"name": "watcher", "role": "admin"}).to_string();
    let key = admin.call(Method::POST, "/v1/admin/api-keys", Some(&key)).await.json()["api_key"].clone();
    let key = server.http().token(key.as_str().unwrap().to_owned());
    let mut other = watch(&colleague, anchors).await;
    // API keys are for this surface alone.
    for (caller, paths) in [(&admin, &paths[..]), (&key, &paths[..3])] {
        let mut oldest = watch(caller, anchors).await;
        let mut further = Vec::new();
        for number in 1..MOST {
            further.push(watch(caller, paths[number % paths.len()]).await);
        }
        let one_more = watch(caller, anchors).await;
        let end = oldest.json().await.unwrap();
        assert!(end.to_string().contains("rate_limited") && end.to_string().contains("more than 8 streams"), "{end}");
        assert!(oldest.json().await.is_none());
        drop((one_more, further));
    }
    // A caller of the platform operates the server.
    let path = format!("{anchors}?tenant_id={TENANT}");
    let mut platform = Vec::new();
    for _ in 0..3 * MOST {
        platform.push(watch(&server.admin(), &path).await);
    }
    let rotate = json!({"tenant_id": TENANT, "use": "spc-signing", "emergency": true, "reason": "lost"}).to_string();
    let rotated = server.admin().call(Method::POST, "/v1/trust/anchors/rotate", Some(&rotate)).await;
    assert_eq!(rotated.status, 202, "{rotated:?}");
    for lines in platform.iter_mut().chain([&mut other]) {
        assert_eq!(lines.json().await.unwrap()["version"], 2);
    }
}
