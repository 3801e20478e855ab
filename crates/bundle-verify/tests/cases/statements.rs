//! Security policy certificates and admission grants.

use serde_json::{Value, json};

use super::{ADMISSION, NOW, POLICY, SPC, STRANGER, artifact, payload, usual, with};
use crate::signer::{Key, jws};

const POLICY_DIGEST: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
const DEVICE_KEY: &str = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";

/// The SPC bundle, with revoked serial numbers.
fn bundle(state: &str, serials: &[&str], epoch: u64, full: bool) -> String {
    let keys = json!([{"id": SPC.id(), "state": state}]);
    let revocations = json!({"serials": serials, "epoch": epoch, "full": full});
    artifact("spc-bundle", &with(with(payload("spc-bundle", 4), "keys", keys), "revocations", revocations))
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
    bundle: Option<String>,
    spc: String,
    audience: &'a str,
    key: &'a str,
    policies: &'a [&'a str],
    now: i64,
    expect: &'a str,
}

fn spc(case: Spc<'_>) -> Value {
    let shelf: Vec<_> =
        case.bundle.iter().map(|bundle| json!({"kind": "spc-bundle", "now": NOW, "envelope": bundle})).collect();
    json!({
        "name": case.name, "do": "spc", "now": case.now, "anchors": [usual()], "shelf": shelf, "spc": case.spc,
        "audience": case.audience, "proven_key": case.key, "policies": case.policies, "expect": case.expect,
    })
}

fn certificates() -> Vec<Value> {
    let signed = |claims: &Value| jws(&header("spc+jwt", SPC), claims, SPC);
    let usual_case = || Spc {
        name: "a certificate",
        bundle: Some(bundle("active", &["16"], 3, true)),
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
    let under = |name, bundle, expect| Spc { name, bundle, expect, ..usual_case() };
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
        under("a revoked serial number", Some(bundle("active", &["16", "17"], 3, true)), "revoked"),
        under("an earlier epoch", Some(bundle("active", &[], 4, true)), "revoked"),
        under("a bundle with a part of the revocations", Some(bundle("active", &[], 3, false)), "nothing_fresh"),
        under("a key that the bundle revokes", Some(bundle("revoked", &[], 3, true)), "revoked_key"),
        under("without a bundle", None, "nothing_fresh"),
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

pub fn cases() -> Vec<Value> {
    certificates().into_iter().chain(grants()).collect()
}
