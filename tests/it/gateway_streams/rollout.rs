//! Publications, as gateways see them.

use tenantry::policy::canary;
use tenantry_gateway_sim::{Fleet, Selected};

use super::{applied, assert_nothing_refused, fleet, plan, policies, publisher, serve, url};
use crate::{harness::eventually, rows::audited};

const GATEWAYS: usize = 60;
const PERCENT: u32 = 30;

/// The gateways in the percentage, and the others.
fn cohort(fleet: &Fleet) -> (Vec<usize>, Vec<usize>) {
    (0..fleet.ids.len()).partition(|number| canary::bucket(&fleet.ids[*number]) < PERCENT)
}

both_databases! {
    async fn a_canary_reaches_its_gateways_and_a_promotion_all_of_them(db: TestDb) {
        let (server, pool) = serve(&db).await;
        let (url, all) = (url(&server), (0..GATEWAYS).collect::<Vec<_>>());
        let fleet = fleet(&server, &pool, &plan(&url), GATEWAYS).await;
        let publisher = publisher(&server, &url);
        let (first, _) = publisher.publish(Selected::Stable, 3).await.unwrap();
        applied(&fleet, &all, first).await;
        let before: Vec<_> = all.iter().map(|gateway| policies(&fleet, *gateway).unwrap()).collect();
        assert!(before.iter().all(|known| *known == before[0]), "they have the same bytes: {before:?}");

        let (canary, _) = publisher.publish(Selected::Canary(PERCENT as i32), 4).await.unwrap();
        let (inside, outside) = cohort(&fleet);
        assert!(!inside.is_empty() && !outside.is_empty(), "{inside:?} {outside:?}");
        applied(&fleet, &inside, canary).await;
        let (stable, _) = publisher.repeat(Selected::Stable, canary).await.unwrap();
        applied(&fleet, &all, stable).await;
        assert_eq!(fleet.progress.updates(), (GATEWAYS + inside.len() + GATEWAYS) as u64, "the others got no canary");

        let (rolled_back, _) = publisher.repeat(Selected::Stable, first).await.unwrap();
        assert!(first < canary && canary < stable && stable < rolled_back);
        applied(&fleet, &all, rolled_back).await;
        assert_nothing_refused(&fleet);
        // One signature for each view: the first one, the canary, its promotion and the rollback.
        assert_eq!(audited(&db, "trust.artifact.issue").await, 4, "signatures");
    }

    async fn a_canary_that_is_replaced_leaves_no_gateway_behind(db: TestDb) {
        let (server, pool) = serve(&db).await;
        let (url, all) = (url(&server), (0..GATEWAYS).collect::<Vec<_>>());
        let fleet = fleet(&server, &pool, &plan(&url), GATEWAYS).await;
        let publisher = publisher(&server, &url);
        let (first, _) = publisher.publish(Selected::Stable, 1).await.unwrap();
        applied(&fleet, &all, first).await;
        let (inside, outside) = cohort(&fleet);
        let (wide, _) = publisher.publish(Selected::Canary(PERCENT as i32), 2).await.unwrap();
        applied(&fleet, &inside, wide).await;
        // A narrower canary: those that leave it get the stable policies again, under a number that is not lower.
        let (narrow, _) = publisher.publish(Selected::Canary(1), 3).await.unwrap();
        let left: Vec<_> =
            inside.iter().copied().filter(|number| canary::bucket(&fleet.ids[*number]) >= 1).collect();
        eventually("those that left to have the stable policies", async || {
            let (number, digest) = policies(&fleet, outside[0])?;
            let has = |gateway: &usize| policies(&fleet, *gateway) == Some((number, digest.clone()));
            (number >= wide && left.iter().all(has)).then_some(())
        })
        .await;
        let (last, _) = publisher.publish(Selected::Stable, 5).await.unwrap();
        assert!(narrow < last);
        applied(&fleet, &all, last).await;
        assert_nothing_refused(&fleet);
    }
}
