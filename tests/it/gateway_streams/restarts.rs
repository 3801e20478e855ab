//! Servers that end while gateways follow them.

use std::time::Duration;

use tenantry_gateway_sim::{Plan, Selected};
use tenantry_proto::edge::v1::Material;

use super::{applied, assert_nothing_refused, fleet, plan, policies, publisher, serve, url};
use crate::harness::{eventually, forward::Forward};

const GATEWAYS: [usize; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

both_databases! {
    async fn gateways_continue_with_the_next_server(db: TestDb) {
        let (mut server, pool) = serve(&db).await;
        let forward = Forward::to(server.address()).await;
        let plan = Plan { metering: Some(Duration::from_secs(1)), ..plan(&forward.url()) };
        let fleet = fleet(&server, &pool, &plan, GATEWAYS.len()).await;
        let (first, _) = publisher(&server, &url(&server)).publish(Selected::Stable, 1).await.unwrap();
        applied(&fleet, &GATEWAYS, first).await;

        // In peace: the server says goodbye, and nothing is sent again.
        let setup = server.setup().clone();
        server.terminate().await;
        assert!(server.ended().await.success(), "{}", server.log());
        let mut server = setup.start().await;
        forward.switch(server.address());
        let (second, _) = publisher(&server, &url(&server)).publish(Selected::Stable, 2).await.unwrap();
        applied(&fleet, &GATEWAYS, second).await;
        assert_eq!(fleet.progress.updates(Material::GatewayPolicy), 2 * GATEWAYS.len() as u64, "what they have is not sent again");

        // Killed right after the publication was committed, of as many routes as a policy may have: the next server sends it.
        let (third, _) = publisher(&server, &url(&server)).publish(Selected::Stable, 2000).await.unwrap();
        server.kill().await;
        let server = setup.start().await;
        forward.switch(server.address());
        applied(&fleet, &GATEWAYS, third).await;
        let same = policies(&fleet, 0);
        assert!(GATEWAYS.iter().all(|gateway| policies(&fleet, *gateway) == same), "{:?}", fleet.progress);
        assert_nothing_refused(&fleet);
        // Their reports reach the next server as well.
        let before = fleet.progress.reports();
        eventually("further reports", async || (fleet.progress.reports() > before).then_some(())).await;
    }
}
