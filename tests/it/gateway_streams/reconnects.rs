//! Many gateways that lose their server at the same time.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use tenantry_gateway_sim::Selected;
use tenantry_proto::edge::v1::Material;
use tokio::time::timeout;

use super::{applied, assert_nothing_refused, fleet, plan, policies, publisher, serve, url};
use crate::harness::forward::Forward;

const GATEWAYS: usize = 300;
/// When all must have what is current, after the next server is ready: the longest hint, the longest backoff of a gateway whose hint was
/// too short, and a reserve for a busy machine.
const CURRENT: Duration = Duration::from_secs(5 + 2 + 10);
/// The longest hint.
const LONGEST: Duration = Duration::from_secs(5);

both_databases! {
    async fn gateways_that_lose_their_server_together_come_back_one_by_one(db: TestDb) {
        let (mut server, pool) = serve(&db).await;
        let forward = Forward::to(server.address()).await;
        let fleet = fleet(&server, &pool, &plan(&forward.url()), GATEWAYS).await;
        let all: Vec<usize> = (0..GATEWAYS).collect();
        let (first, _) = publisher(&server, &url(&server)).publish(Selected::Stable, 1).await.unwrap();
        applied(&fleet, &all, first).await;

        let setup = server.setup().clone();
        server.terminate().await;
        assert!(server.ended().await.success(), "{}", server.log());
        let server = setup.start().await;
        forward.switch(server.address());
        let ready = Instant::now();
        let (second, _) = publisher(&server, &url(&server)).publish(Selected::Stable, 2).await.unwrap();
        let current = fleet.progress.all(&all, Material::GatewayPolicy, second);
        timeout(CURRENT.saturating_sub(ready.elapsed()), current).await.expect("all to be current");
        let same = policies(&fleet, 0);
        assert!(all.iter().all(|gateway| policies(&fleet, *gateway) == same), "{:?}", fleet.progress);
        assert_eq!(fleet.progress.updates(Material::GatewayPolicy), 2 * GATEWAYS as u64, "what they have is not sent again");

        // Each was asked to wait for another time, spread over all of it.
        let hints = fleet.progress.hints();
        assert_eq!(hints.len(), GATEWAYS);
        assert!(hints.iter().all(|hint| *hint <= LONGEST), "{hints:?}");
        let different: BTreeSet<_> = hints.iter().collect();
        assert!(different.len() > GATEWAYS * 8 / 10, "{} different ones", different.len());
        for fifth in 0..5 {
            let within = |hint: &&Duration| (LONGEST * fifth / 5..LONGEST * (fifth + 1) / 5).contains(*hint);
            let number = hints.iter().filter(within).count();
            assert!((GATEWAYS / 15..GATEWAYS / 3).contains(&number), "{number} in the fifth {fifth}");
        }
        assert_nothing_refused(&fleet);
        assert_eq!(fleet.progress.ends(), Vec::<String>::new());
    }
}
