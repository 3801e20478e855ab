//! Connections whose other side is gone without a word.

use std::time::{Duration, Instant};

use tenantry_gateway_sim::Selected;
use tenantry_proto::edge::v1::Material;
use tokio::time::timeout;

use super::{applied, assert_nothing_refused, fleet, metric, plan, publisher, raw::Raw, serve, token, url};
use crate::harness::{forward::Forward, within};

const GATEWAYS: usize = 10;
const STREAMS: &str = "tenantry_gateway_streams";
/// When each side must have noticed it: after a silence of 25 s and 10 s for the answer to a ping at the client, 30 s and 20 s at the
/// server; and a reserve.
const CLIENT: Duration = Duration::from_secs(35 + 15);
const SERVER: Duration = Duration::from_secs(50 + 15);

/// On SQLite alone: the database plays no part.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_notice_that_the_other_one_is_gone() {
    let db = crate::db::sqlite().await;
    let (server, pool) = serve(&db).await;
    let forward = Forward::to(server.address()).await;
    let fleet = fleet(&server, &pool, &plan(&forward.url()), GATEWAYS).await;
    let all: Vec<usize> = (0..GATEWAYS).collect();
    let publisher = publisher(&server, &url(&server));
    let (first, _) = publisher.publish(Selected::Stable, 1).await.unwrap();
    applied(&fleet, &all, first).await;
    // A gateway that does not come back.
    let token = token(&server, &pool, 1).await;
    let lost = plan(&forward.url()).enroll(&token, 1).await.unwrap().remove(0);
    let mut lost = Raw::open(&forward.url(), &lost).await;
    lost.subscribe(&[Material::GatewayPolicy], Vec::new()).await;
    assert_eq!(lost.update().await.number, first);
    assert_eq!(metric(&server, STREAMS).await, (GATEWAYS + 1) as f64);

    forward.swallow();
    let began = Instant::now();
    let (second, _) = publisher.publish(Selected::Stable, 2).await.unwrap();
    timeout(CLIENT, fleet.progress.all(&all, Material::GatewayPolicy, second))
        .await
        .expect("the gateways connect again");
    assert_eq!(fleet.progress.streams(), 2 * GATEWAYS as u64);
    let rest = SERVER.saturating_sub(began.elapsed());
    within(rest, "the server to free the streams", async || {
        (metric(&server, STREAMS).await == GATEWAYS as f64).then_some(())
    })
    .await;
    assert_nothing_refused(&fleet);
}
