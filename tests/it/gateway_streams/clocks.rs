//! Clocks that are ten minutes off, of the server or of its gateways: what is valid verifies, what has expired is denied, and nothing is
//! ordered by a clock.

use bundle_verify::{Kind, Refusal, Shelf, grant};
use serde_json::{Value, json};
use tenantry_gateway_sim::{Clock, Enrolled, Fleet, Plan, Selected};
use tenantry_proto::edge::v1::Material;
use time::{OffsetDateTime, format_description::well_known::Rfc2822};
use tokio::time::timeout;

use super::{
    PATIENCE, TENANT, admin, applied, assert_nothing_refused, devices::Device, mutual, plan, publisher, serve,
    serve_with, token, url, watches::of_gateway,
};
use crate::{
    db::TestDb,
    harness::{
        eventually,
        forward::Forward,
        server::{Server, Setup},
        skew::skewed,
    },
};

const OFF: i64 = 600;
const ALL: [usize; 2] = [0, 1];
const POLICY: &str = "/v1/gateway/runtime/policy-bundle";
const MANIFEST: &str = "/v1/gateway/runtime/auth-material-manifest";

/// By how many seconds the clock of a server is ahead.
async fn ahead(server: &Server) -> i64 {
    let answer = server.http().get("/readyz").await;
    let date = answer.header("date").unwrap().replace("GMT", "+0000");
    OffsetDateTime::parse(&date, &Rfc2822).unwrap().unix_timestamp() - Clock::default().unix()
}

/// Gateways, with what they enrolled with.
async fn gateways(server: &Server, pool: &str, plan: &Plan) -> (Fleet, Enrolled) {
    let token = token(server, pool, ALL.len()).await;
    let enrolled = plan.enroll(&token, ALL.len()).await.unwrap();
    let first = enrolled[0].clone();
    (plan.start(enrolled).unwrap(), first)
}

async fn publish(server: &Server, fleets: &[&Fleet], routes: usize) -> i64 {
    let (version, _) = publisher(server, &url(server)).publish(Selected::Stable, routes).await.unwrap();
    for fleet in fleets {
        applied(fleet, &ALL, version).await;
    }
    version
}

/// Replaces the key that signs policies at once, and waits until the gateways have what it signs: the same version, signed later.
async fn replace_signer(server: &Server, fleets: &[&Fleet]) {
    let before: Vec<_> = fleets.iter().map(|fleet| fleet.progress.of(0, Material::GatewayPolicy).unwrap()).collect();
    let rotate = json!({"tenant_id": TENANT, "use": "policy-signing", "emergency": true, "reason": "it leaked"});
    admin(server, "/v1/trust/anchors/rotate", rotate).await;
    for (fleet, before) in fleets.iter().zip(before) {
        timeout(PATIENCE, fleet.progress.all(&ALL, Material::TrustAnchors, 2)).await.expect("new anchors");
        eventually("policies that the new key signed", async || {
            let now = |gateway: &usize| fleet.progress.of(*gateway, Material::GatewayPolicy).unwrap();
            let is_new = |gateway: &usize| now(gateway).digest != before.digest && now(gateway).number == before.number;
            ALL.iter().all(is_new).then_some(())
        })
        .await;
    }
}

/// A server whose clock is off by a number of seconds, and then one with a right clock on the same database.
async fn serve_off(db: &TestDb, off: i64) {
    let (mut server, pool) = serve_with(db, skewed(Setup::dev(), off).await).await;
    assert!((ahead(&server).await - off).abs() < 30, "{}", ahead(&server).await);
    let (plain, secure) = (Forward::to(server.address()).await, mutual(&server));
    let secure = Forward::to(secure.trim_start_matches("https://").parse().unwrap()).await;
    let by_token = plan(&plain.url());
    let by_certificate = Plan { mutual: Some(format!("https://{}", secure.address)), ..by_token.clone() };
    let (one, enrolled) = gateways(&server, &pool, &by_token).await;
    let (two, _) = gateways(&server, &pool, &by_certificate).await;
    let fleets = [&one, &two];
    let first = publish(&server, &fleets, 1).await;
    for (fleet, material) in fleets.iter().zip([Material::DeploymentConfig, Material::SpcBundle]) {
        timeout(PATIENCE, fleet.progress.all(&ALL, material, 1)).await.expect("every material");
    }
    // A grant is for now: with a minute of tolerance, not ten.
    let device = Device::enroll(&server).await;
    let granted = device.asked_for(&server, &enrolled).await;
    let verify = |at: i64| {
        let token = granted["grant"].as_str().unwrap();
        grant::verify(&enrolled.anchors, token, &enrolled.id, &device.key, at, |_| false).map(drop)
    };
    let now = Clock::default().unix();
    let early_or_late = if off > 0 { Refusal::NotYetValid } else { Refusal::Expired };
    assert_eq!((verify(now), verify(now + off)), (Err(early_or_late), Ok(())), "{granted}");

    let setup = server.setup().clone().env("AHEAD", "0");
    server.terminate().await;
    assert!(server.ended().await.success(), "{}", server.log());
    let server = setup.start().await;
    assert!(ahead(&server).await.abs() < 30);
    plain.switch(server.address());
    secure.switch(mutual(&server).trim_start_matches("https://").parse().unwrap());
    let second = publish(&server, &fleets, 2).await;
    replace_signer(&server, &fleets).await;
    let third = publish(&server, &fleets, 3).await;
    assert!(first < second && second < third);
    // What they report counts, although a server with a later clock has written what they reported before.
    eventually("the acknowledgements in the rollout", async || {
        let rollout = server.admin().get(&format!("/v1/admin/policy/rollout?tenant_id={TENANT}")).await.json();
        let has_applied = |gateway: &Value| gateway["acknowledged"] == third && gateway["lag_seconds"] == 0;
        rollout["gateways"].as_array().unwrap().iter().all(has_applied).then_some(())
    })
    .await;
    for fleet in fleets {
        assert_nothing_refused(fleet);
        assert_eq!(fleet.progress.ends(), Vec::<String>::new());
    }
}

both_databases! {
    async fn a_server_whose_clock_was_ahead_leaves_nothing_that_its_successor_cannot_follow(db: TestDb) {
        serve_off(&db, OFF).await;
    }

    async fn a_server_whose_clock_was_behind_leaves_nothing_that_its_successor_cannot_follow(db: TestDb) {
        serve_off(&db, -OFF).await;
    }

    async fn gateways_whose_clocks_are_off_accept_what_is_valid(db: TestDb) {
        let (server, pool) = serve(&db).await;
        let mut fleets = Vec::new();
        for off in [OFF, -OFF] {
            let by_token = Plan { clock: Clock::ahead(off), ..plan(&url(&server)) };
            let by_certificate = Plan { mutual: Some(mutual(&server)), ..by_token.clone() };
            for plan in [by_token, by_certificate] {
                let (fleet, enrolled) = gateways(&server, &pool, &plan).await;
                assert!((enrolled.server_ahead + off).abs() < 30, "{off} {}", enrolled.server_ahead);
                fleets.push(fleet);
            }
        }
        let fleets: Vec<&Fleet> = fleets.iter().collect();
        let first = publish(&server, &fleets, 1).await;
        replace_signer(&server, &fleets).await;
        assert!(first < publish(&server, &fleets, 2).await);
        for fleet in fleets {
            assert_nothing_refused(fleet);
            assert_eq!(fleet.progress.ends(), Vec::<String>::new());
        }
    }

    async fn a_gateway_denies_with_what_has_expired_by_its_clock(db: TestDb) {
        let (server, pool) = serve(&db).await;
        let hour = json!({"tenant_id": TENANT, "channel": "stable", "policy": {}, "expires_in_seconds": 3600});
        let version = admin(&server, "/v1/admin/policy/publish", hour).await["version"].as_i64().unwrap();
        let (right, enrolled) = gateways(&server, &pool, &plan(&url(&server))).await;
        applied(&right, &ALL, version).await;
        let plan = Plan { clock: Clock::ahead(3600 + OFF), ..plan(&url(&server)) };
        let (late, _) = gateways(&server, &pool, &plan).await;
        let refusals = eventually("the refusals", async || {
            let refusals = late.progress.refusals();
            (refusals.len() == ALL.len()).then_some(refusals)
        })
        .await;
        assert!(refusals.iter().all(|refusal| refusal.ends_with(": MATERIAL_GATEWAY_POLICY expired")), "{refusals:?}");
        let shown = eventually("the refusals in the rollout", async || {
            let rollout = server.admin().get(&format!("/v1/admin/policy/rollout?tenant_id={TENANT}")).await.json();
            let of_late = |gateway: &&Value| gateway["gateway_id"] == late.ids[0];
            let gateway = rollout["gateways"].as_array().unwrap().iter().find(of_late).unwrap().clone();
            gateway["refused"].is_object().then_some(gateway)
        })
        .await;
        assert_eq!((&shown["refused"]["version"], &shown["refused"]["code"]), (&json!(version), &json!("expired")), "{shown}");
        assert_eq!(shown["acknowledged"], Value::Null, "{shown}");
        // What was accepted is used until its end, and not from then on. The manifest ends after ten minutes.
        let (mut shelf, now) = (Shelf::default(), Clock::default().unix());
        for (path, kind, life) in [(POLICY, Kind::GatewayPolicy, 3600), (MANIFEST, Kind::AuthMaterialManifest, OFF)] {
            let answer = of_gateway(&server, &enrolled, path).get(path).await;
            let accepted = shelf.accept(&enrolled.anchors, kind, answer.body.as_bytes(), now).unwrap().clone();
            assert!((accepted.expires_at - now - life).abs() < 60, "{accepted:?}");
            assert!(shelf.current(kind, accepted.expires_at - 1).is_some());
            assert_eq!(shelf.current(kind, accepted.expires_at), None);
            let mut fresh = Shelf::default();
            let late = fresh.accept(&enrolled.anchors, kind, answer.body.as_bytes(), accepted.expires_at);
            assert_eq!(late.unwrap_err(), Refusal::Expired);
        }
    }
}
