//! Artifacts on the shelf.

use bundle_verify::{Envelope, digest};
use serde_json::{Value, json};

use super::{
    ADMISSION, DAY, NEXT_POLICY, NOW, POLICY, ROOT, STRANGER, anchors, artifact, payload, usual, usual_keys,
    walks::flip_payload, with,
};
use crate::signer::{Key, envelope, envelope_of};

fn earlier(kind: &str, envelope: &str) -> Value {
    json!({"kind": kind, "now": NOW, "envelope": envelope})
}

struct Accept<'a> {
    name: &'a str,
    kind: &'a str,
    anchors: String,
    shelf: Vec<Value>,
    envelope: String,
    now: i64,
    outcome: Result<u64, &'a str>,
}

fn accept(case: Accept<'_>) -> Value {
    let (expect, version, tag) = match case.outcome {
        Ok(version) => {
            let parsed = Envelope::parse(case.envelope.as_bytes(), 1 << 20).unwrap();
            ("ok", Value::from(version), Value::from(digest(&parsed.payload)))
        }
        Err(code) => (code, Value::Null, Value::Null),
    };
    json!({
        "name": case.name, "do": "accept", "now": case.now, "anchors": [case.anchors], "shelf": case.shelf, "kind": case.kind,
        "envelope": case.envelope, "version": version, "digest": tag, "expect": expect,
    })
}

fn policy(name: &str, envelope: String, outcome: Result<u64, &str>) -> Value {
    accept(Accept { name, kind: "policy", anchors: usual(), shelf: Vec::new(), envelope, now: NOW, outcome })
}

/// A set in which the key for policies has this state and these times.
fn set_with(state: &str, not_before: &str, not_after: &str) -> String {
    let mut keys = usual_keys();
    keys[1] = with(with(POLICY.anchor("policy-signing", state), "not_before", not_before), "not_after", not_after);
    envelope("trust-anchors", &anchors(1, &keys), &[ROOT])
}

pub fn cases() -> Vec<Value> {
    let version = |version: u64| artifact("policy", &payload("policy", version));
    let issued = |version: u64, at: &str| artifact("policy", &with(payload("policy", version), "issued_at", at));
    let by = |key: Key| envelope("policy", &payload("policy", 7), &[key]);
    let twice = payload("policy", 7).to_string().replacen("\"version\":7", "\"version\":7,\"version\":8", 1);
    let after = |name, shelf: u64, envelope, outcome| {
        let shelf = vec![earlier("policy", &version(shelf))];
        accept(Accept { name, kind: "policy", anchors: usual(), shelf, envelope, now: NOW, outcome })
    };
    let under = |name, anchors: String, outcome| {
        accept(Accept { name, kind: "policy", anchors, shelf: Vec::new(), envelope: version(7), now: NOW, outcome })
    };
    let at = |name, now, outcome| {
        accept(Accept { name, kind: "policy", anchors: usual(), shelf: Vec::new(), envelope: version(7), now, outcome })
    };
    let (year, later) = ("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
    let mut cases = vec![
        policy("a policy", version(7), Ok(7)),
        policy(
            "a second signature by an unknown key",
            envelope("policy", &payload("policy", 7), &[STRANGER, POLICY]),
            Ok(7),
        ),
        policy("signed by an unknown key", by(STRANGER), Err("unknown_key")),
        policy("signed by a key for grants", by(ADMISSION), Err("wrong_use")),
        policy("signed by a root key", by(ROOT), Err("wrong_use")),
        policy("signed by a key that is not in the set yet", by(NEXT_POLICY), Err("unknown_key")),
        policy("a flipped byte", flip_payload(&version(7)), Err("bad_signature")),
        policy(
            "an artifact of another kind",
            artifact("gateway-policy", &payload("gateway-policy", 7)),
            Err("wrong_type"),
        ),
        policy(
            "another kind under this type",
            envelope("policy", &payload("gateway-policy", 7), &[POLICY]),
            Err("bad_schema"),
        ),
        policy(
            "a member that occurs twice",
            envelope_of("application/vnd.tenantry.policy+json", twice.as_bytes(), &[POLICY]),
            Err("bad_payload"),
        ),
        policy(
            "without a version",
            artifact("policy", &with(payload("policy", 7), "version", Value::Null)),
            Err("bad_schema"),
        ),
        policy("a negative version", artifact("policy", &with(payload("policy", 7), "version", -1)), Err("bad_schema")),
        policy(
            "expired at this second",
            artifact("policy", &with(payload("policy", 7), "expires_at", "2026-01-05T10:00:00Z")),
            Err("expired"),
        ),
        after("a later version", 7, version(8), Ok(8)),
        after("the same artifact again", 7, version(7), Ok(7)),
        after("an earlier version", 7, version(6), Err("rolled_back")),
        after("the same version, issued anew", 7, issued(7, "2026-01-05T09:30:00Z"), Ok(7)),
        after("the same version, issued before", 7, issued(7, "2026-01-05T08:30:00Z"), Err("rolled_back")),
        after("a later version by a server whose clock is behind", 7, issued(8, "2026-01-05T08:50:00Z"), Ok(8)),
        under("a key that is announced and valid", set_with("upcoming", year, later), Ok(7)),
        under(
            "a key that is announced and not valid yet",
            set_with("upcoming", "2026-01-05T11:00:00Z", later),
            Err("key_not_valid"),
        ),
        under("a retiring key", set_with("retiring", year, later), Ok(7)),
        under(
            "a key that was valid until now",
            set_with("retiring", year, "2026-01-05T10:00:00Z"),
            Err("key_not_valid"),
        ),
        under("a state that is not known", set_with("suspended", year, later), Err("revoked_key")),
        under("a revoked key", set_with("revoked", year, later), Err("revoked_key")),
        at("at the last second of the policy", NOW - 3600 + 7 * DAY - 1, Ok(7)),
        at("when the policy has expired", NOW - 3600 + 7 * DAY, Err("expired")),
        at("when the anchors have expired", NOW + 11 * DAY, Err("nothing_fresh")),
    ];
    for (name, number) in [
        ("gateway-policy", "version"),
        ("deployment-config", "config_version"),
        ("auth-material-manifest", "sequence"),
        ("spc-bundle", "sequence"),
        ("gateway-pools", "sequence"),
    ] {
        let mut payload = payload(name, 0);
        payload.as_object_mut().unwrap().remove("version");
        let envelope = artifact(name, &with(payload, number, 3));
        let (name, kind) = (&*format!("kind {name}"), name);
        cases.push(accept(Accept {
            name,
            kind,
            anchors: usual(),
            shelf: Vec::new(),
            envelope,
            now: NOW,
            outcome: Ok(3),
        }));
    }
    let current = |name: &str, now: i64, expect: &str| {
        let shelf = [earlier("policy", &version(7))];
        json!({"name": name, "do": "current", "now": now, "anchors": [usual()], "shelf": shelf, "kind": "policy", "expect": expect})
    };
    cases.push(current("a policy is used until it expires", NOW - 3600 + 7 * DAY - 1, "ok"));
    cases.push(current("and not after that", NOW - 3600 + 7 * DAY, "nothing_fresh"));
    cases
}
