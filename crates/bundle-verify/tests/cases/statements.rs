//! Security policy certificates and admission grants.

use bundle_verify::{Envelope, digest};
use serde_json::{Value, json};

use super::{ADMISSION, NOW, POLICY, SPC, STRANGER, artifact, payload, usual, walks::flip_payload, with};
use crate::signer::{Key, envelope, jws};

const POLICY_DIGEST: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
const DEVICE_KEY: &str = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";

/// The SPC bundle, with revoked serial numbers.
fn bundle(state: &str, serials: &[&str], epoch: u64) -> String {
    numbered(4, state, json!({"serials": serials, "epoch": epoch, "full": true}))
}

/// The bundle with a sequence.
fn numbered(sequence: u64, state: &str, revocations: Value) -> String {
    let keys = json!([{"id": SPC.id(), "state": state}]);
    artifact("spc-bundle", &with(with(payload("spc-bundle", sequence), "keys", keys), "revocations", revocations))
}

/// The revocations since the bundle of a sequence.
fn since(sequence: u64, serials: &[&str], epoch: u64) -> Value {
    json!({"serials": serials, "epoch": epoch, "full": false, "since_sequence": sequence})
}

fn header(typ: &str, key: Key) -> Value {
    json!({"alg": "EdDSA", "typ": typ, "kid": key.id()})
}

fn spc_claims() -> Value {
    json!({
        "iss": "example.com", "sub": "device:dev_1", "aud": ["pool:pool_eu", "pool:pool_us"], "tid": "ten_1", "jti": "spc_1",
        "serial": "17", "cnf": {"jkt": DEVICE_KEY}, "pol": {"version": 7, "digest": POLICY_DIGEST, "channel": "stable"},
        "amr_min": "B", "groups": [], "posture": {"status": "compliant"}, "epoch": 3, "iat": NOW, "nbf": NOW, "exp": NOW + 3600,
    })
}

struct Spc<'a> {
    name: &'a str,
    bundles: Vec<String>,
    spc: String,
    audience: &'a str,
    key: &'a str,
    policies: &'a [&'a str],
    now: i64,
    expect: &'a str,
}

fn spc(case: Spc<'_>) -> Value {
    let shelf: Vec<_> =
        case.bundles.iter().map(|bundle| json!({"kind": "spc-bundle", "now": NOW, "envelope": bundle})).collect();
    json!({
        "name": case.name, "do": "spc", "now": case.now, "anchors": [usual()], "shelf": shelf, "spc": case.spc,
        "audience": case.audience, "proven_key": case.key, "policies": case.policies, "expect": case.expect,
    })
}

fn certificates() -> Vec<Value> {
    let signed = |claims: &Value| jws(&header("spc+jwt", SPC), claims, SPC);
    let usual_case = || Spc {
        name: "a certificate",
        bundles: vec![bundle("active", &["16"], 3)],
        spc: signed(&spc_claims()),
        audience: "pool:pool_eu",
        key: DEVICE_KEY,
        policies: &[POLICY_DIGEST],
        now: NOW,
        expect: "ok",
    };
    let claims = |name, member: &str, value: Value, expect| Spc {
        name,
        spc: signed(&with(spc_claims(), member, value)),
        expect,
        ..usual_case()
    };
    let of_header =
        |name, header: Value, key, expect| Spc { name, spc: jws(&header, &spc_claims(), key), expect, ..usual_case() };
    let under = |name, bundles, expect| Spc { name, bundles, expect, ..usual_case() };
    let continued = |name, later: String, expect| under(name, vec![bundle("active", &["16"], 3), later], expect);
    let at = |name, now, expect| Spc { name, now, expect, ..usual_case() };
    let cases = vec![
        usual_case(),
        at("a clock that is a minute behind", NOW - 60, "ok"),
        at("a clock that is further behind", NOW - 61, "not_yet_valid"),
        at("a minute after its end", NOW + 3659, "ok"),
        at("later", NOW + 3660, "expired"),
        Spc { name: "a gateway of another pool", audience: "pool:pool_asia", expect: "audience", ..usual_case() },
        Spc { name: "another key in the handshake", key: "another", expect: "key_mismatch", ..usual_case() },
        Spc { name: "another policy", policies: &["sha256:22"], expect: "policy_superseded", ..usual_case() },
        Spc { name: "the policy before, within its overlap", policies: &["sha256:22", POLICY_DIGEST], ..usual_case() },
        under("a revoked serial number", vec![bundle("active", &["16", "17"], 3)], "revoked"),
        under("an earlier epoch", vec![bundle("active", &[], 4)], "revoked"),
        under("a key that the bundle revokes", vec![bundle("revoked", &[], 3)], "revoked_key"),
        under("without a bundle", Vec::new(), "nothing_fresh"),
        continued("a later revocation", numbered(6, "active", since(4, &["17"], 3)), "revoked"),
        continued("no later revocation", numbered(6, "active", since(4, &[], 3)), "ok"),
        continued(
            "later revocations, also of some that are known",
            numbered(6, "active", since(1, &["16", "18"], 3)),
            "ok",
        ),
        continued("a later epoch", numbered(6, "active", since(4, &[], 4)), "revoked"),
        continued("a lower epoch does not count", numbered(6, "active", since(4, &[], 2)), "ok"),
        continued("a key that is revoked later", numbered(6, "revoked", since(4, &[], 3)), "revoked_key"),
        under(
            "earlier revocations stay",
            vec![
                bundle("active", &["17"], 3),
                numbered(5, "active", since(4, &["18"], 3)),
                numbered(6, "active", since(5, &[], 3)),
            ],
            "revoked",
        ),
        under(
            "the same continuation twice",
            vec![
                bundle("active", &[], 3),
                numbered(5, "active", since(4, &["18"], 3)),
                numbered(5, "active", since(4, &["18"], 3)),
            ],
            "ok",
        ),
        of_header("signed by an unknown key", header("spc+jwt", STRANGER), STRANGER, "unknown_key"),
        of_header("signed by a key for policies", header("spc+jwt", POLICY), POLICY, "unknown_key"),
        of_header("signed by another key than it names", header("spc+jwt", SPC), POLICY, "bad_signature"),
        of_header("a grant in place of a certificate", header("grant+jwt", SPC), SPC, "wrong_type"),
        of_header("without a signature", with(header("spc+jwt", SPC), "alg", "none"), SPC, "wrong_type"),
        of_header("a critical extension", with(header("spc+jwt", SPC), "crit", json!(["b64"])), SPC, "malformed"),
        claims("without a serial number", "serial", Value::Null, "bad_schema"),
        Spc { name: "not a JWS", spc: "a.b".to_owned(), expect: "malformed", ..usual_case() },
    ];
    cases.into_iter().map(spc).collect()
}

/// A gateway that has not reached the control plane for some seconds.
fn cut_off() -> Vec<Value> {
    let config = |state: &str, grace: Value| {
        let payload = with(payload("deployment-config", 5), "desired_state", state);
        artifact("deployment-config", &with(payload, "offline_grace_seconds", grace))
    };
    let certificate = jws(&header("spc+jwt", SPC), &spc_claims(), SPC);
    let case = |name: &str, bundle: String, config: Option<String>, seconds: i64, expect: &str| {
        let mut shelf = vec![json!({"kind": "spc-bundle", "now": NOW, "envelope": bundle})];
        shelf.extend(config.map(|config| json!({"kind": "deployment-config", "now": NOW, "envelope": config})));
        json!({
            "name": name, "do": "offline", "now": NOW, "anchors": [usual()], "shelf": shelf, "spc": certificate,
            "audience": "pool:pool_eu", "proven_key": DEVICE_KEY, "policies": [POLICY_DIGEST], "heard_at": NOW - seconds,
            "expect": expect,
        })
    };
    let valid = || bundle("active", &[], 3);
    let usual_config = || Some(config("serve", json!(900)));
    vec![
        case("cut off just now", valid(), usual_config(), 0, "ok"),
        case("at the last second of the grace", valid(), usual_config(), 899, "ok"),
        case("when the grace is over", valid(), usual_config(), 900, "offline_grace_over"),
        case("without a grace", valid(), Some(config("serve", json!(0))), 0, "offline_grace_over"),
        case("a clock that was set back", valid(), usual_config(), -1, "offline_grace_over"),
        case("a gateway that drains", valid(), Some(config("drain", json!(900))), 1, "draining"),
        case("a configuration without a grace", valid(), Some(config("serve", Value::Null)), 1, "bad_schema"),
        case("without a configuration", valid(), None, 1, "nothing_fresh"),
        case("cut off with a revoked certificate", bundle("active", &["17"], 3), usual_config(), 1, "revoked"),
    ]
}

fn grants() -> Vec<Value> {
    let usual_claims = json!({
        "jti": "grant_1", "sid": "ses_1", "sub": "device:dev_1", "uid": "usr_1", "gw": "gw_1", "pool": "pool_eu",
        "cnf": {"jkt": DEVICE_KEY}, "vip": "100.64.0.7", "pol": {"version": 7}, "max_end": NOW + 43_200, "iat": NOW, "exp": NOW + 120,
    });
    let case = |name: &str, grant: String, gateway: &str, key: &str, now: i64, used: &[&str], expect: &str| {
        json!({
            "name": name, "do": "grant", "now": now, "anchors": [usual()], "shelf": [], "grant": grant, "gateway": gateway,
            "proven_key": key, "used": used, "expect": expect,
        })
    };
    let of = |claims: &Value| jws(&header("grant+jwt", ADMISSION), claims, ADMISSION);
    let usual_grant = || of(&usual_claims);
    vec![
        case("a grant", usual_grant(), "gw_1", DEVICE_KEY, NOW, &["grant_0"], "ok"),
        case(
            "a grant without an address",
            of(&with(usual_claims.clone(), "vip", Value::Null)),
            "gw_1",
            DEVICE_KEY,
            NOW,
            &[],
            "ok",
        ),
        case("a grant that was used", usual_grant(), "gw_1", DEVICE_KEY, NOW, &["grant_1"], "replayed"),
        case("at another gateway", usual_grant(), "gw_2", DEVICE_KEY, NOW, &[], "audience"),
        case("by another device", usual_grant(), "gw_1", "another", NOW, &[], "key_mismatch"),
        case("too late", usual_grant(), "gw_1", DEVICE_KEY, NOW + 180, &[], "expired"),
        case("too early", usual_grant(), "gw_1", DEVICE_KEY, NOW - 61, &[], "not_yet_valid"),
        case(
            "for a session that has ended",
            of(&with(usual_claims.clone(), "max_end", NOW)),
            "gw_1",
            DEVICE_KEY,
            NOW,
            &[],
            "expired",
        ),
        case(
            "a certificate in place of a grant",
            jws(&header("spc+jwt", ADMISSION), &usual_claims, ADMISSION),
            "gw_1",
            DEVICE_KEY,
            NOW,
            &[],
            "wrong_type",
        ),
        case(
            "signed by a key for certificates",
            jws(&header("grant+jwt", SPC), &usual_claims, SPC),
            "gw_1",
            DEVICE_KEY,
            NOW,
            &[],
            "wrong_use",
        ),
    ]
}

/// Bundles that continue the one on the shelf.
fn deltas() -> Vec<Value> {
    let case = |name: &str, shelf: &[String], envelope: String, outcome: Result<u64, &str>| {
        let parsed = Envelope::parse(envelope.as_bytes(), 1 << 20).unwrap();
        let shelf: Vec<_> =
            shelf.iter().map(|bundle| json!({"kind": "spc-bundle", "now": NOW, "envelope": bundle})).collect();
        let (expect, version, tag) = match outcome {
            Ok(version) => ("ok", Value::from(version), Value::from(digest(&parsed.payload))),
            Err(code) => (code, Value::Null, Value::Null),
        };
        json!({
            "name": name, "do": "accept", "now": NOW, "anchors": [usual()], "shelf": shelf, "kind": "spc-bundle",
            "envelope": envelope, "version": version, "digest": tag, "expect": expect,
        })
    };
    let held = bundle("active", &["16"], 3);
    let later = |sequence, before| numbered(sequence, "active", since(before, &["17"], 3));
    let shelf = |more: &[String]| [std::slice::from_ref(&held), more].concat();
    let members = |sequence| with(payload("spc-bundle", sequence), "keys", json!([]));
    let by_another = with(members(6), "revocations", since(4, &[], 3));
    vec![
        case("a delta", &shelf(&[]), later(5, 4), Ok(5)),
        case("a delta of several sequences", &shelf(&[]), later(9, 4), Ok(9)),
        case("a delta since an earlier bundle", &shelf(&[]), later(5, 2), Ok(5)),
        case("a delta to the same sequence", &shelf(&[]), later(4, 4), Ok(4)),
        case("a delta without a bundle", &[], later(5, 4), Err("gap")),
        case("a delta that leaves out a sequence", &shelf(&[]), later(6, 5), Err("gap")),
        case("a delta that comes before the one it continues", &shelf(&[later(5, 4)]), later(8, 7), Err("gap")),
        case("a delta that comes after a later one", &shelf(&[later(6, 4)]), later(5, 4), Err("rolled_back")),
        case(
            "a delta that was accepted long ago",
            &shelf(&[later(5, 4), later(6, 5)]),
            later(5, 4),
            Err("rolled_back"),
        ),
        case("the newest delta again", &shelf(&[later(5, 4)]), later(5, 4), Ok(5)),
        case("a whole bundle after deltas", &shelf(&[later(5, 4)]), bundle_at(6), Ok(6)),
        case(
            "a part of the revocations that continues nothing",
            &shelf(&[]),
            numbered(5, "active", json!({"serials": [], "epoch": 3, "full": false})),
            Err("bad_schema"),
        ),
        case(
            "a delta since a negative sequence",
            &shelf(&[]),
            numbered(5, "active", json!({"serials": [], "epoch": 3, "full": false, "since_sequence": -1})),
            Err("bad_schema"),
        ),
        case(
            "a delta by a key for policies",
            &shelf(&[]),
            envelope("spc-bundle", &by_another, &[POLICY]),
            Err("wrong_use"),
        ),
        case("a delta with a flipped byte", &shelf(&[]), flip_payload(&later(5, 4)), Err("bad_signature")),
        case(
            "a delta that has expired",
            &shelf(&[]),
            artifact("spc-bundle", &with(by_another.clone(), "expires_at", "2026-01-05T10:00:00Z")),
            Err("expired"),
        ),
    ]
}

/// A whole bundle with a sequence.
fn bundle_at(sequence: u64) -> String {
    numbered(sequence, "active", json!({"serials": ["16"], "epoch": 3, "full": true}))
}

pub fn cases() -> Vec<Value> {
    certificates().into_iter().chain(deltas()).chain(cut_off()).chain(grants()).collect()
}
