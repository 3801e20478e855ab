//! A tenant that is suspended in the middle of a rollout.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::json;
use tenantry::policy::canary;
use tenantry_gateway_sim::{Plan, Publisher, Selected};
use tenantry_proto::edge::v1::Material;

use super::{
    OTHER, SOON, TENANT, admin, applied, assert_nothing_refused, fleet, plan, policies, pool, publisher, serve,
    token_of, url,
};
use crate::harness::eventually;

const GATEWAYS: usize = 20;
const PERCENT: u32 = 50;

both_databases! {
    async fn a_suspended_tenant_gets_the_rest_of_a_rollout_when_it_is_resumed(db: TestDb) {
        let (server, eu) = serve(&db).await;
        let (url, all) = (url(&server), (0..GATEWAYS).collect::<Vec<_>>());
        let retry_refused = Some(Duration::from_millis(200));
        let mut fleet = fleet(&server, &eu, &Plan { retry_refused, ..plan(&url) }, GATEWAYS).await;
        let token = token_of(&server, OTHER, &pool(&server, OTHER).await, 2).await;
        let others = plan(&url).start(plan(&url).enroll(&token, 2).await.unwrap()).unwrap();
        let publisher = publisher(&server, &url);
        let of_others = Publisher { tenant: Some(OTHER.to_owned()), ..publisher.clone() };
        let (first, _) = publisher.publish(Selected::Stable, 1).await.unwrap();
        applied(&fleet, &all, first).await;
        let (canary, _) = publisher.publish(Selected::Canary(PERCENT as i32), 2).await.unwrap();
        let inside: Vec<_> =
            all.iter().copied().filter(|number| canary::bucket(&fleet.ids[*number]) < PERCENT).collect();
        applied(&fleet, &inside, canary).await;

        let suspend = json!({"action": "suspend", "tenant_id": TENANT});
        admin(&server, "/v1/admin/tenants/lifecycle", suspend).await;
        let began = Instant::now();
        let ended = async {
            eventually("all streams to end", async || {
                let ends = fleet.progress.ends();
                let ended: BTreeSet<_> = ends.iter().filter_map(|end| end.split(':').next()).collect();
                (ended.len() == GATEWAYS).then_some(())
            })
            .await;
            began.elapsed()
        };
        // At once, before the streams have ended.
        let (took, promoted) = tokio::join!(ended, publisher.repeat(Selected::Stable, canary));
        let (promoted, _) = promoted.unwrap();
        assert!(took < SOON, "{took:?}");
        let ends = fleet.progress.ends();
        assert!(ends.iter().all(|end| end.ends_with(": Unauthenticated: your tenant is suspended")), "{ends:?}");
        // Nothing reaches them, although they try again; the other tenant's do not notice.
        let (further, _) = publisher.publish(Selected::Stable, 3).await.unwrap();
        let (of_other, _) = of_others.publish(Selected::Stable, 1).await.unwrap();
        applied(&others, &[0, 1], of_other).await;
        let tried = fleet.progress.ends().len();
        eventually("further attempts", async || (fleet.progress.ends().len() >= tried + GATEWAYS).then_some(())).await;
        let sent = (GATEWAYS + inside.len()) as u64;
        assert_eq!(fleet.progress.updates(Material::GatewayPolicy), sent, "nothing is sent after the suspension");
        assert_eq!(fleet.progress.streams(), GATEWAYS as u64, "no stream is opened");
        assert_eq!((others.progress.streams(), others.progress.ends()), (2, Vec::new()));

        let resume = json!({"action": "reactivate", "tenant_id": TENANT});
        admin(&server, "/v1/admin/tenants/lifecycle", resume).await;
        applied(&fleet, &all, further).await;
        assert!(first < canary && canary < promoted && promoted < further);
        let same = policies(&fleet, 0);
        assert!(all.iter().all(|gateway| policies(&fleet, *gateway) == same), "{:?}", fleet.progress);
        assert_eq!(fleet.progress.updates(Material::GatewayPolicy), sent + GATEWAYS as u64, "only the newest one");
        assert_eq!(fleet.running(), GATEWAYS);
        assert_nothing_refused(&fleet);
    }
}
