//! Rotations of keys, with every set of anchors and every signature verified as a device does, on both databases.

use std::time::Duration;

use bundle_verify::{AnchorSet, Envelope, KeyState, KeyUse, Kind, Refusal, Shelf};
use futures::future::join_all;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{
    conversation::{
        Who::{self, Admin, Platform},
        http, serve,
    },
    device_policy::publish,
    enrolled::{Enrolled, admin, enroll, post},
};
use crate::{
    db::TestDb,
    harness::{eventually, fleet, rotations, server::Server},
    rows::sql,
};

const ANCHORS: &str = "/v1/trust/anchors";
const BUNDLE: &str = "/v1/policy/bundle";
const ROTATE: &str = "/v1/trust/anchors/rotate";
const ROTATIONS: &str = "/v1/trust/rotations";
/// Three refresh hints, and a little more.
const ANNOUNCED: Duration = Duration::from_secs(901);

async fn rotate(server: &Server, who: Who, body: Value) -> Value {
    let answer = post(&http(server, who).await, ROTATE, body.clone()).await;
    assert_eq!(answer.status, 202, "{body}: {answer:?}");
    answer.json()
}

/// Waits until a rotation has reached a phase, and returns it.
async fn reached(server: &Server, who: Who, rotation: &Value, phase: &str) -> Value {
    let http = http(server, who).await;
    let path = format!("{ROTATIONS}/{}", rotation["rotation_id"].as_str().unwrap());
    eventually(&format!("the phase {phase}"), async || {
        let shown = http.get(&path).await.json();
        // The sets of all tenants follow a change of a key of the installation.
        (shown["phase"] == phase && shown["due_at"] != shown["updated_at"]).then_some(shown)
    })
    .await
}

async fn pass(db: &TestDb, time: Duration) {
    rotations::age(&fleet::connect(&db.url).await, time).await;
}

/// Walks from a set to the newest one, and returns all of them.
async fn walk(server: &Server, from: &AnchorSet) -> Vec<AnchorSet> {
    let http = http(server, Admin).await;
    let mut walked = vec![from.clone()];
    loop {
        let last = walked.last().unwrap();
        let answer = http.get(&format!("{ANCHORS}?sequence={}", last.sequence + 1)).await;
        if answer.status == 404 {
            return walked;
        }
        walked.push(last.next(answer.body.as_bytes()).unwrap());
    }
}

async fn newest(server: &Server, from: &AnchorSet) -> AnchorSet {
    walk(server, from).await.pop().unwrap()
}

/// The states of the keys for a use, by id.
fn states(set: &AnchorSet, key_use: KeyUse) -> Vec<(String, KeyState)> {
    let of_use = set.anchors.iter().filter(|anchor| anchor.key_use == key_use);
    of_use.map(|anchor| (anchor.id.clone(), anchor.state)).collect()
}

fn of(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap().to_owned()
}

fn signed_by(envelope: &str) -> String {
    Envelope::parse(envelope.as_bytes(), usize::MAX).unwrap().signatures[0].key_id.clone()
}

/// What a device that begins now says about a policy.
fn judged(anchors: &AnchorSet, envelope: &str) -> Result<u64, Refusal> {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    Shelf::default().accept(anchors, Kind::Policy, envelope.as_bytes(), now).map(|accepted| accepted.version)
}

async fn bundle(server: &Server, device: &Enrolled) -> String {
    let answer = device.get(server, BUNDLE).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

both_databases! {
    async fn policies_verify_before_during_and_after_a_rotation(db: TestDb) {
        let server = serve(&db).await;
        publish(&server, json!({}), json!({"kill_switch": true})).await;
        let mut device = enroll(&server, json!({}), "device").await;
        device.accept(&server).await;
        let first = bundle(&server, &device).await;
        let started = rotate(&server, Admin, json!({"use": "policy-signing", "overlap_seconds": 900})).await;
        let (old, new) = (of(&started, "old_id"), of(&started, "new_id"));
        assert_eq!((&started["sequence"], signed_by(&first)), (&json!(2), old.clone()), "{started}");
        // Published: the old key signs.
        device.anchors = newest(&server, &device.anchors).await;
        let published = [(old.clone(), KeyState::Active), (new.clone(), KeyState::Upcoming)];
        assert_eq!(states(&device.anchors, KeyUse::PolicySigning), published);
        assert_eq!(bundle(&server, &device).await, first);
        let before = device.anchors.clone();
        // Activated: what is new is signed with the new key, which a device with the set before knows.
        pass(&db, ANNOUNCED).await;
        reached(&server, Admin, &started, "activate").await;
        device.anchors = newest(&server, &device.anchors).await;
        let activated = [(old.clone(), KeyState::Retiring), (new.clone(), KeyState::Active)];
        assert_eq!(states(&device.anchors, KeyUse::PolicySigning), activated);
        assert_eq!(bundle(&server, &device).await, first, "the old key is still trusted");
        let mut other = enroll(&server, json!({}), "device").await;
        let of_other = json!({"type": "device", "id": other.id});
        publish(&server, of_other, json!({"kill_switch": false})).await;
        let second = bundle(&server, &other).await;
        assert_eq!(signed_by(&second), new);
        for anchors in [&before, &device.anchors] {
            assert_eq!((judged(anchors, &first), judged(anchors, &second)), (Ok(1), Ok(2)));
        }
        // Retired: what is current is signed with the new key, under the same version.
        pass(&db, ANNOUNCED).await;
        let shown = reached(&server, Admin, &started, "retire").await;
        let anew = bundle(&server, &device).await;
        assert_eq!((signed_by(&anew), judged(&device.anchors, &anew)), (new.clone(), Ok(1)));
        assert_eq!(device.accept(&server).await.0, 1);
        assert_eq!(bundle(&server, &device).await, anew);
        // The old key is trusted until the end of what it signed, seven days after the publication.
        let end: Vec<_> = shown["phases"].as_array().unwrap().iter().map(|phase| of(phase, "at")).collect();
        let days = (parsed(&end[3]) - OffsetDateTime::now_utc()).whole_days();
        assert_eq!((days, shown["state"].as_str()), (6, Some("running")), "{shown}");
        // Removed.
        pass(&db, Duration::from_secs(8 * 86400)).await;
        let shown = reached(&server, Admin, &started, "remove").await;
        assert_eq!(shown["state"], "done", "{shown}");
        device.anchors = newest(&server, &device.anchors).await;
        assert_eq!(states(&device.anchors, KeyUse::PolicySigning), [(new, KeyState::Active)]);
        assert_eq!(judged(&device.anchors, &first), Err(Refusal::UnknownKey));
        assert_eq!(judged(&device.anchors, &anew), Ok(1));
        other.anchors = newest(&server, &other.anchors).await;
        other.accept(&server).await;
    }

    async fn after_an_emergency_the_old_signature_is_refused_and_a_new_one_accepted(db: TestDb) {
        let server = serve(&db).await;
        publish(&server, json!({}), json!({"kill_switch": true})).await;
        let mut device = enroll(&server, json!({}), "device").await;
        device.accept(&server).await;
        let (old, digest) = (device.get(&server, BUNDLE).await, device.get(&server, "/v1/policy/digest").await);
        let started = rotate(&server, Admin, json!({"use": "policy-signing", "emergency": true})).await;
        assert!(started["phases"].as_array().unwrap().iter().all(|phase| phase["done"] == true), "{started}");
        device.anchors = newest(&server, &device.anchors).await;
        let keys = [(of(&started, "old_id"), KeyState::Revoked), (of(&started, "new_id"), KeyState::Active)];
        assert_eq!(states(&device.anchors, KeyUse::PolicySigning), keys);
        assert_eq!(judged(&device.anchors, &old.body), Err(Refusal::RevokedKey));
        let new = device.get(&server, BUNDLE).await;
        assert_ne!((new.header("etag"), &new.body), (old.header("etag"), &old.body));
        assert_eq!(signed_by(&new.body), of(&started, "new_id"));
        // The same version, and the device that has seen the old one takes it.
        assert_eq!(device.accept(&server).await.0, 1);
        assert_ne!(device.get(&server, "/v1/policy/digest").await.body, digest.body);
        // Another one is not delayed by the first, and a regular one can begin.
        rotate(&server, Admin, json!({"use": "policy-signing", "emergency": true})).await;
        let announced = rotate(&server, Admin, json!({"use": "policy-signing"})).await;
        // A key that was announced is the one that an emergency uses.
        let again = rotate(&server, Admin, json!({"use": "policy-signing", "emergency": true})).await;
        assert_eq!((&again["new_id"], &again["rotation_id"]), (&announced["new_id"], &announced["rotation_id"]));
        device.anchors = newest(&server, &device.anchors).await;
        assert_eq!(states(&device.anchors, KeyUse::PolicySigning).len(), 4);
        assert_eq!(device.accept(&server).await.0, 1);
    }

    async fn a_client_that_is_behind_walks_through_rotations_of_the_root(db: TestDb) {
        let server = serve(&db).await;
        let first = http(&server, Admin).await.get(ANCHORS).await;
        let first = AnchorSet::first(first.body.as_bytes()).unwrap();
        let root = states(&first, KeyUse::Root)[0].0.clone();
        let started = rotate(&server, Platform, json!({"use": "root", "overlap_seconds": 900})).await;
        assert_eq!((of(&started, "old_id"), &started["sequence"]), (root, &Value::Null), "{started}");
        for (phase, sequence) in [("publish", 2), ("activate", 3), ("retire", 3), ("remove", 4)] {
            let shown = reached(&server, Platform, &started, phase).await;
            assert_eq!(newest(&server, &first).await.sequence, sequence, "{shown}");
            pass(&db, ANNOUNCED).await;
        }
        // An emergency: the revoked root signs once more, for those who know no other.
        let emergency = rotate(&server, Platform, json!({"use": "root", "emergency": true})).await;
        reached(&server, Platform, &emergency, "remove").await;
        let walked = walk(&server, &first).await;
        let last = walked.last().unwrap();
        let keys = [(of(&started, "new_id"), KeyState::Revoked), (of(&emergency, "new_id"), KeyState::Active)];
        assert_eq!((walked.len(), states(last, KeyUse::Root)), (5, keys.to_vec()));
        // Every later set is signed by the new root alone.
        let signer = json!({"action": "create", "purpose": "spc"});
        admin(&server, "/v1/admin/settings/signers", signer).await;
        assert_eq!(newest(&server, &first).await.sequence, 6);
        let set = http(&server, Admin).await.get(ANCHORS).await.body;
        let signatures = Envelope::parse(set.as_bytes(), usize::MAX).unwrap().signatures;
        assert_eq!(signatures.into_iter().map(|signature| signature.key_id).collect::<Vec<_>>(), [of(&emergency, "new_id")]);
    }

    async fn another_server_continues_a_rotation(db: TestDb) {
        let mut server = serve(&db).await;
        let first = http(&server, Admin).await.get(ANCHORS).await;
        let first = AnchorSet::first(first.body.as_bytes()).unwrap();
        let of_tenant = rotate(&server, Admin, json!({"use": "admission-signing"})).await;
        let of_installation = rotate(&server, Platform, json!({"use": "device-ca"})).await;
        let setup = server.setup().clone();
        server.kill().await;
        pass(&db, Duration::from_secs(1501)).await;
        let mut server = setup.start().await;
        reached(&server, Admin, &of_tenant, "activate").await;
        reached(&server, Platform, &of_installation, "activate").await;
        server.kill().await;
        pass(&db, Duration::from_secs(1501)).await;
        let server = setup.start().await;
        reached(&server, Admin, &of_tenant, "retire").await;
        // The certificates of the old authority are valid for a day.
        let shown = reached(&server, Platform, &of_installation, "retire").await;
        assert!((parsed(&of(&shown, "due_at")) - OffsetDateTime::now_utc()).whole_hours() >= 22, "{shown}");
        pass(&db, Duration::from_secs(86400)).await;
        reached(&server, Admin, &of_tenant, "remove").await;
        reached(&server, Platform, &of_installation, "remove").await;
        let last = newest(&server, &first).await;
        assert_eq!(states(&last, KeyUse::AdmissionSigning), [(of(&of_tenant, "new_id"), KeyState::Active)]);
        assert_eq!(states(&last, KeyUse::DeviceCa), [(of(&of_installation, "new_id"), KeyState::Active)]);
    }

    async fn of_two_rotations_of_a_use_at_once_one_begins(db: TestDb) {
        let server = serve(&db).await;
        for (who, body) in [(Admin, json!({"use": "policy-signing"})), (Platform, json!({"use": "gateway-ca"}))] {
            let http = http(&server, who).await;
            let answers = join_all((0..4).map(|_| post(&http, ROTATE, body.clone()))).await;
            let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
            statuses.sort_unstable();
            assert_eq!(statuses, [202, 409, 409, 409], "{answers:?}");
        }
        // Another use and another tenant are not concerned.
        rotate(&server, Admin, json!({"use": "spc-signing"})).await;
        rotate(&server, Platform, json!({"use": "policy-signing", "tenant_id": "other"})).await;
    }

    async fn a_signer_is_retired_when_nothing_that_it_signed_is_valid(db: TestDb) {
        let server = serve(&db).await;
        publish(&server, json!({}), json!({"kill_switch": true})).await;
        let device = enroll(&server, json!({}), "device").await;
        bundle(&server, &device).await;
        let signers = "/v1/admin/settings/signers";
        let new = admin(&server, signers, json!({"action": "create", "purpose": "policy"})).await;
        pass(&db, ANNOUNCED).await;
        admin(&server, signers, json!({"action": "activate", "signer_id": new["signer"]["id"]})).await;
        let http = http(&server, Admin).await;
        let old = http.get(&format!("{signers}?purpose=policy")).await.json()["signers"][0]["id"].clone();
        let retire = json!({"action": "retire", "signer_id": old});
        let refused = post(&http, signers, retire.clone()).await;
        assert!(refused.status == 409 && refused.body.contains("valid until"), "{refused:?}");
        sql(&db, "UPDATE policy_bundles SET expires_at = 1".to_owned()).await.unwrap();
        let retired = post(&http, signers, retire).await;
        assert_eq!((retired.status, &retired.json()["signer"]["state"]), (200, &json!("retired")), "{retired:?}");
        assert_eq!(bundle(&server, &device).await, bundle(&server, &device).await);
    }

    async fn another_server_signs_nothing_with_a_revoked_key(db: TestDb) {
        let server = serve(&db).await;
        publish(&server, json!({}), json!({"kill_switch": true})).await;
        let device = enroll(&server, json!({}), "device").await;
        bundle(&server, &device).await;
        let other = server.setup().clone().start().await;
        let mut anchors = device.anchors.clone();
        for round in 0..3 {
            let started = rotate(&server, Platform, json!({"use": "root", "emergency": true})).await;
            rotate(&server, Admin, json!({"use": "policy-signing", "emergency": true})).await;
            // The other server has the keys of the installation in memory, and makes the next set with the new ones.
            publish(&other, json!({}), json!({"refresh_seconds": 60 + round})).await;
            let envelope = bundle(&other, &device).await;
            reached(&server, Platform, &started, "remove").await;
            anchors = newest(&server, &anchors).await;
            judged(&anchors, &envelope).unwrap();
        }
    }
}

fn parsed(time: &str) -> OffsetDateTime {
    OffsetDateTime::parse(time, &time::format_description::well_known::Rfc3339).unwrap()
}
