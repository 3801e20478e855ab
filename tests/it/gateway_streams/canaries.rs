//! Canaries that gateways refuse, and canaries whose time is over, as gateways see them.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};
use tenantry::policy::canary;
use tenantry_gateway_sim::{Enrolled, Selected};
use tenantry_proto::edge::v1::{Ack, Material, Nack, stream_request};
use time::OffsetDateTime;

use super::{TENANT, applied, assert_nothing_refused, fleet, plan, policies, publisher, raw::Raw, serve, token, url};
use crate::{
    harness::{eventually, server::Server},
    rows::{audited, sql},
};

const PERCENT: u32 = 10;
/// Gateways of the canary.
const INSIDE: usize = 8;
/// The others.
const OUTSIDE: usize = 4;

async fn get(server: &Server, path: &str) -> Value {
    let answer = server.admin().get(&format!("{path}tenant_id={TENANT}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

async fn version(server: &Server, number: i64) -> Value {
    get(server, &format!("/v1/admin/policy/versions/{number}?")).await["version"].clone()
}

/// Enrolls gateways until there are enough of both kinds.
async fn enrolled(server: &Server, pool: &str) -> (Vec<Enrolled>, Vec<Enrolled>) {
    let (url, token) = (url(server), token(server, pool, 1000).await);
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    while inside.len() < INSIDE {
        let some = plan(&url).enroll(&token, 20).await.unwrap();
        let (these, others): (Vec<_>, Vec<_>) = some.into_iter().partition(|one| canary::bucket(&one.id) < PERCENT);
        inside.extend(these);
        outside.extend(others);
    }
    inside.truncate(INSIDE);
    outside.truncate(OUTSIDE);
    (inside, outside)
}

async fn open(url: &str, enrolled: &Enrolled) -> Raw {
    let raw = Raw::open(url, enrolled).await;
    raw.subscribe(&[Material::GatewayPolicy], Vec::new()).await;
    raw
}

async fn verdict(raw: &Raw, number: i64, refuses: bool) {
    let material = Material::GatewayPolicy.into();
    raw.say(match refuses {
        true => stream_request::Message::Nack(Nack {
            material,
            number,
            code: "bad_payload".to_owned(),
            detail: "an unknown section".to_owned(),
        }),
        false => stream_request::Message::Ack(Ack { material, number }),
    })
    .await;
}

both_databases! {
    async fn a_canary_that_gateways_refuse_is_withdrawn(db: TestDb) {
        let (server, pool) = serve(&db).await;
        let (inside, outside) = enrolled(&server, &pool).await;
        let (url, publisher) = (url(&server), publisher(&server, &url(&server)));
        let mut cohort = join_all(inside.iter().map(|enrolled| open(&url, enrolled))).await;
        let mut others = join_all(outside.iter().map(|enrolled| open(&url, enrolled))).await;
        let (stable, _) = publisher.publish(Selected::Stable, 1).await.unwrap();
        for raw in cohort.iter_mut().chain(&mut others) {
            assert_eq!(raw.update().await.number, stable);
            verdict(raw, stable, false).await;
        }
        let (canary, _) = publisher.publish(Selected::Canary(PERCENT as i32), 2).await.unwrap();
        for raw in &mut cohort {
            assert_eq!(raw.update().await.number, canary);
        }
        // Gateways without the canary, and verdicts on another version, say nothing about it.
        for raw in &others {
            verdict(raw, canary, true).await;
        }
        verdict(&cohort[0], stable, true).await;
        verdict(&cohort[INSIDE - 2], canary + 1, true).await;
        let accepting = &cohort[..INSIDE - 2];
        for raw in accepting {
            verdict(raw, canary, false).await;
        }
        let counts = async || {
            let row = version(&server, canary).await;
            (row["gateways_reported"].as_i64().unwrap(), row["gateways_refused"].as_i64().unwrap(), row["state"].clone())
        };
        let expected = (accepting.len() as i64, 0, json!("active"));
        eventually("the reports", async || (counts().await == expected).then_some(())).await;

        // The same gateway counts once, whatever it says twice.
        let refused_at = Instant::now();
        for _ in 0..2 {
            verdict(&cohort[INSIDE - 1], canary, true).await;
        }
        eventually("the withdrawal", async || (counts().await.2 == "withdrawn").then_some(())).await;
        assert!(refused_at.elapsed() < Duration::from_secs(3), "{:?}", refused_at.elapsed());
        assert_eq!(counts().await, (accepting.len() as i64 + 1, 1, json!("withdrawn")));
        assert_eq!(audited(&db, "policy.canary.aborted").await, 1);
        // Everyone is back on the stable policies: those of the canary under a higher version.
        let mut back = Vec::new();
        for raw in &mut cohort {
            let update = raw.update().await;
            assert!(update.number > canary, "{update:?}");
            back.push(update.digest);
        }
        assert!(back.iter().all(|digest| *digest == back[0]), "{back:?}");
        let rollout = get(&server, "/v1/admin/policy/rollout?limit=500&").await;
        let gateways = rollout["gateways"].as_array().unwrap();
        assert!(gateways.iter().all(|gateway| gateway["channel"] == "stable"), "{rollout}");
        let (next, _) = publisher.publish(Selected::Stable, 3).await.unwrap();
        for raw in cohort.iter_mut().chain(&mut others) {
            while raw.update().await.number < next {}
        }
    }

    async fn a_canary_whose_time_is_over_leaves_no_gateway_behind(db: TestDb) {
        let (server, pool) = serve(&db).await;
        let (url, all) = (url(&server), (0..40).collect::<Vec<_>>());
        let fleet = fleet(&server, &pool, &plan(&url), all.len()).await;
        let publisher = publisher(&server, &url);
        let (stable, _) = publisher.publish(Selected::Stable, 1).await.unwrap();
        applied(&fleet, &all, stable).await;
        let (canary, _) = publisher.publish(Selected::Canary(50), 2).await.unwrap();
        let (inside, outside): (Vec<_>, Vec<_>) =
            all.iter().partition(|number| canary::bucket(&fleet.ids[**number]) < 50);
        applied(&fleet, &inside, canary).await;
        let end = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1000;
        sql(&db, format!("UPDATE policies SET expires_at = {end} WHERE version = {canary}")).await.unwrap();
        applied(&fleet, &inside, canary + 1).await;
        let (number, digest) = policies(&fleet, inside[0]).unwrap();
        assert!(inside.iter().all(|gateway| policies(&fleet, *gateway) == Some((number, digest.clone()))));
        // The view of administrators agrees with what the gateways have.
        let rollout = get(&server, "/v1/admin/policy/rollout?limit=500&").await;
        for gateway in rollout["gateways"].as_array().unwrap() {
            let is_inside = inside.iter().any(|number| gateway["gateway_id"] == fleet.ids[*number].as_str());
            assert_eq!(gateway["channel"], "stable", "{gateway}");
            assert_eq!(gateway["wanted"], if is_inside { canary + 1 } else { stable }, "{gateway}");
        }
        let (last, _) = publisher.publish(Selected::Stable, 3).await.unwrap();
        assert!(canary + 1 < last);
        applied(&fleet, &outside, last).await;
        applied(&fleet, &inside, last).await;
        assert_nothing_refused(&fleet);
    }
}
