//! A gateway that stops reading.

use tenantry_gateway_sim::Selected;
use tenantry_proto::edge::v1::{Held, Material};
use tonic::transport::Endpoint;

use super::{applied, fleet, metric, plan, publisher, raw::Raw, serve, token, url};

const READERS: [usize; 3] = [0, 1, 2];
const VERSIONS: u64 = 30;
/// So many routes that an update is larger than the window of a stream.
const ROUTES: usize = 700;
const WINDOW: u32 = 65_535;
const UPDATES: &str = r#"tenantry_gateway_updates_total{material="gateway-policy"}"#;

/// On SQLite alone: the database plays no part.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_does_not_read_holds_no_queue_and_delays_nobody() {
    let db = crate::db::sqlite().await;
    let (server, pool) = serve(&db).await;
    let url = url(&server);
    let fleet = fleet(&server, &pool, &plan(&url), READERS.len()).await;
    let publisher = publisher(&server, &url);
    let (first, _) = publisher.publish(Selected::Stable, 1).await.unwrap();
    applied(&fleet, &READERS, first).await;
    let token = token(&server, &pool, 1).await;
    let enrolled = plan(&url).enroll(&token, 1).await.unwrap().remove(0);
    let narrow = Endpoint::from_shared(url.clone()).unwrap().initial_stream_window_size(WINDOW).connect_lazy();
    let mut stalled = Raw::over(narrow, &url, &enrolled).await;
    stalled.subscribe(&[Material::GatewayPolicy], Vec::new()).await;
    let mut held = stalled.update().await;
    assert_eq!(held.number, first);

    let mut newest = first;
    for _ in 0..VERSIONS {
        newest = publisher.publish(Selected::Stable, ROUTES).await.unwrap().0;
        applied(&fleet, &READERS, newest).await;
    }
    let of_readers = READERS.len() as u64 * (1 + VERSIONS);
    assert_eq!(fleet.progress.updates(Material::GatewayPolicy), of_readers, "the others get every version");
    // What was on its way when it stopped, and the newest one.
    let mut read = 0;
    while held.number < newest {
        let Ok(next) = stalled.try_update().await else {
            // A reader that is away for more than 30 s loses its stream, and gets the newest one as well when it returns.
            stalled = Raw::open(&url, &enrolled).await;
            let have =
                Held { material: Material::GatewayPolicy.into(), number: held.number, digest: held.digest.clone() };
            stalled.subscribe(&[Material::GatewayPolicy], vec![have]).await;
            continue;
        };
        assert!(held.number < next.number);
        assert!(next.envelope.len() > WINDOW as usize, "{} bytes", next.envelope.len());
        (held, read) = (next, read + 1);
    }
    assert!(read <= 3, "{read} of {VERSIONS} versions were kept for it");
    let sent = metric(&server, UPDATES).await as u64 - of_readers - 1;
    assert!((read..=4).contains(&sent), "{sent} updates were sent to it");
}
