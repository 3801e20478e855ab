//! The whole walk of a tenant's gateways, each artifact verified by `bundle-verify`: a token, enrollments, a canary, its promotion, a
//! rollback, rotations of keys, and the end of a device's sessions.

use std::collections::BTreeSet;

use bundle_verify::{Envelope, grant};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tenantry::policy::canary;
use tenantry_gateway_sim::{Clock, Enrolled, Fleet, Plan, Publisher, Selected};
use tenantry_proto::edge::v1::Material;
use tokio::time::timeout;
use tonic::{Code, Status};

use super::{
    TENANT, admin, applied, assert_nothing_refused, devices::Device, mutual, plan, policies, publisher, serve_with,
    token, url, watches::of_gateway,
};
use crate::harness::{
    PATIENCE, eventually,
    server::{Server, Setup},
};

const GATEWAYS: usize = 100;
const PERCENT: u32 = 10;
/// How many calls of gateways run at the same time.
const AT_ONCE: usize = 16;
/// The shortest overlap of keys with the refresh hint of the test: three hints.
const HINT: &str = "1s";
const OVERLAP: i64 = 3;
const PHASES: [&str; 4] = ["publish", "activate", "retire", "remove"];
const ROTATE: &str = "/v1/trust/anchors/rotate";
const POLICY: &str = "/v1/gateway/runtime/policy-bundle";

/// The gateways of the walk.
struct Gateways {
    server: Server,
    publisher: Publisher,
    enrolled: Vec<Enrolled>,
    fleet: Fleet,
    all: Vec<usize>,
}

impl Gateways {
    async fn enroll(server: Server, pool: &str) -> Self {
        let plan = Plan { mutual: Some(mutual(&server)), ..plan(&url(&server)) };
        let token = token(&server, pool, GATEWAYS).await;
        let enrolled = plan.enroll(&token, GATEWAYS).await.unwrap();
        assert_eq!(enrolled.iter().map(|one| &one.id).collect::<BTreeSet<_>>().len(), GATEWAYS);
        let further = plan.enroll(&token, 1).await.unwrap_err();
        let refused = further.downcast_ref::<Status>().map(Status::code);
        assert_eq!(refused, Some(Code::Unauthenticated), "the token has no further use: {further:#}");
        let fleet = plan.start(enrolled.clone()).unwrap();
        Self { publisher: publisher(&server, &url(&server)), server, enrolled, fleet, all: (0..GATEWAYS).collect() }
    }

    /// Publishes to all, and waits until all have it.
    async fn publish(&self, routes: usize) -> i64 {
        let (version, _) = self.publisher.publish(Selected::Stable, routes).await.unwrap();
        applied(&self.fleet, &self.all, version).await;
        version
    }

    /// Publishes the content of an earlier version to all, and waits until all have it.
    async fn repeat(&self, version: i64) -> i64 {
        let (version, _) = self.publisher.repeat(Selected::Stable, version).await.unwrap();
        applied(&self.fleet, &self.all, version).await;
        version
    }

    /// Waits until the rollout shows that each gateway has acknowledged what it should have.
    async fn acknowledged(&self, wanted: impl Fn(&str) -> (&'static str, i64)) {
        let path = format!("/v1/admin/policy/rollout?tenant_id={TENANT}&limit=500");
        eventually("the acknowledgements in the rollout", async || {
            let rollout = self.server.admin().get(&path).await.json();
            assert_eq!(rollout["total"], GATEWAYS, "{rollout}");
            let is_done = |gateway: &Value| {
                let (channel, version) = wanted(gateway["gateway_id"].as_str().unwrap());
                assert_eq!((&gateway["channel"], &gateway["wanted"]), (&json!(channel), &json!(version)), "{gateway}");
                assert_eq!(gateway["refused"], Value::Null, "{gateway}");
                gateway["acknowledged"] == version && gateway["lag_seconds"] == 0
            };
            rollout["gateways"].as_array().unwrap().iter().all(is_done).then_some(())
        })
        .await;
    }

    /// Publishes a canary, which its share of the gateways alone gets, and returns its version.
    async fn canary(&self, stable: i64) -> i64 {
        let is_inside = |id: &str| canary::bucket(id) < PERCENT;
        let (inside, outside): (Vec<usize>, Vec<usize>) =
            self.all.iter().partition(|number| is_inside(&self.fleet.ids[**number]));
        assert!(!inside.is_empty() && !outside.is_empty(), "{inside:?} {outside:?}");
        let before = policies(&self.fleet, outside[0]);
        let updates = self.fleet.progress.updates(Material::GatewayPolicy);
        let (canary, _) = self.publisher.publish(Selected::Canary(PERCENT as i32), 9).await.unwrap();
        applied(&self.fleet, &inside, canary).await;
        self.acknowledged(|id| if is_inside(id) { ("canary", canary) } else { ("stable", stable) }).await;
        assert!(
            outside.iter().all(|gateway| policies(&self.fleet, *gateway) == before),
            "the others keep what they had"
        );
        assert_eq!(self.fleet.progress.updates(Material::GatewayPolicy) - updates, inside.len() as u64);
        canary
    }

    /// Begins the rotation of a key with the shortest overlap.
    async fn rotate(&self, mut body: Value) -> Value {
        body["overlap_seconds"] = json!(OVERLAP);
        admin(&self.server, ROTATE, body).await
    }

    /// Waits until a rotation has reached a phase, or a later one.
    async fn reached(&self, rotation: &Value, phase: &str) {
        // The root is a key of the installation.
        let tenant = if rotation["sequence"].is_null() { "" } else { "?tenant_id=acme" };
        let path = format!("/v1/trust/rotations/{}{tenant}", rotation["rotation_id"].as_str().unwrap());
        eventually(&format!("the phase {phase}"), async || {
            let shown = self.server.admin().get(&path).await.json();
            let place = |phase: &str| PHASES.iter().position(|known| *known == phase);
            (place(shown["phase"].as_str()?) >= place(phase)).then_some(())
        })
        .await;
    }

    /// Waits until all gateways have the newest anchors.
    async fn have_anchors(&self) -> i64 {
        let newest = self.server.admin().get(&format!("/v1/trust/anchors?tenant_id={TENANT}")).await;
        let envelope = Envelope::parse(newest.body.as_bytes(), usize::MAX).unwrap();
        let payload: Value = serde_json::from_slice(&envelope.payload).unwrap();
        let sequence = payload["sequence"].as_i64().unwrap();
        let all = self.fleet.progress.all(&self.all, Material::TrustAnchors, sequence);
        timeout(PATIENCE, all).await.unwrap_or_else(|_| panic!("not all have anchors {sequence}"));
        sequence
    }

    /// The key that signed the policies that gateways get now.
    async fn signer(&self) -> String {
        let answer = of_gateway(&self.server, &self.enrolled[0], POLICY).get(POLICY).await;
        Envelope::parse(answer.body.as_bytes(), usize::MAX).unwrap().signatures[0].key_id.clone()
    }

    /// Starts a session of a device at each gateway, and returns their ids by gateway.
    async fn admit(&self, device: &Device) -> Vec<String> {
        let sessions = stream::iter(&self.enrolled).map(|gateway| async move {
            let answer = device.asked_for(&self.server, gateway).await;
            assert_eq!(answer["decision"], "allow", "{answer}");
            let (token, now) = (answer["grant"].as_str().unwrap(), Clock::default().unix());
            let granted = grant::verify(&gateway.anchors, token, &gateway.id, &device.key, now, |_| false).unwrap();
            assert_eq!(answer["session_id"], granted.sid, "{answer}");
            granted.sid
        });
        sessions.buffered(AT_ONCE).collect().await
    }

    /// The states of the sessions of a device.
    async fn sessions(&self, device: &Device) -> Vec<String> {
        let path = format!("/v1/admin/sessions?tenant_id={TENANT}&device_id={}&status=all&limit=500", device.id);
        let answer = self.server.admin().get(&path).await.json();
        let states = answer["sessions"].as_array().unwrap().iter();
        states.map(|session| session["status"].as_str().unwrap().to_owned()).collect()
    }
}

both_databases! {
    async fn gateways_follow_their_tenant_from_a_token_to_a_revoked_device(db: TestDb) {
        let (server, pool) = serve_with(&db, Setup::dev().env("TENANTRY_TRUST_REFRESH", HINT)).await;
        let mut walk = Gateways::enroll(server, &pool).await;
        let first = walk.publish(3).await;
        walk.acknowledged(|_| ("stable", first)).await;
        let canary = walk.canary(first).await;
        let promoted = walk.repeat(canary).await;
        walk.acknowledged(|_| ("stable", promoted)).await;
        let rolled_back = walk.repeat(first).await;
        walk.acknowledged(|_| ("stable", rolled_back)).await;
        assert!(first < canary && canary < promoted && promoted < rolled_back);

        // The key that signs policies, and the root of the anchors, while policies are published.
        let signer = walk.rotate(json!({"use": "policy-signing", "tenant_id": TENANT})).await;
        assert_eq!(json!(walk.signer().await), signer["old_id"], "the new key is announced before it signs");
        let root = walk.rotate(json!({"use": "root"})).await;
        let mut newest = walk.publish(4).await;
        for phase in ["activate", "retire"] {
            walk.reached(&signer, phase).await;
            newest = walk.publish(5).await;
            assert_eq!(json!(walk.signer().await), signer["new_id"], "{phase}");
        }
        walk.reached(&root, "remove").await;
        // The first one, and at least those that announce, activate, retire or remove the two keys.
        assert!(walk.have_anchors().await >= 4);
        newest = walk.publish(6).await.max(newest);
        walk.acknowledged(|_| ("stable", newest)).await;

        let device = Device::enroll(&walk.server).await;
        let sessions = walk.admit(&device).await;
        assert!(walk.sessions(&device).await.iter().all(|status| status == "active"));
        let revoke = json!({"action": "revoke", "tenant_id": TENANT, "device_id": device.id});
        admin(&walk.server, "/v1/admin/devices/lifecycle", revoke).await;
        eventually("the session in the list of each gateway", async || {
            let listed = |(gateway, session): (usize, &String)| {
                let list = walk.fleet.progress.of(gateway, Material::KillList);
                list.is_some_and(|list| list.digest.split(' ').any(|listed| listed == session))
            };
            sessions.iter().enumerate().all(listed).then_some(())
        })
        .await;
        let states = walk.sessions(&device).await;
        assert!(states.len() == GATEWAYS && states.iter().all(|status| status == "ended"), "{states:?}");
        let denied = device.asked_for(&walk.server, &walk.enrolled[0]).await;
        assert_eq!((&denied["decision"], &denied["reason"]), (&json!("deny"), &json!("device_not_active")), "{denied}");

        assert_nothing_refused(&walk.fleet);
        assert_eq!((walk.fleet.running(), walk.fleet.progress.ends()), (GATEWAYS, Vec::new()));
        assert_eq!(walk.fleet.progress.streams(), GATEWAYS as u64, "no stream was interrupted");
    }
}
