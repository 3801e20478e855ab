//! Walks from one anchor set to the next.

use serde_json::{Value, json};

use super::{NEXT_POLICY, NEXT_ROOT, NOW, POLICY, ROOT, STRANGER, anchors, usual, usual_keys, with};
use crate::signer::{Key, envelope, envelope_of};

fn walk(name: &str, sets: Vec<String>, outcome: Result<u64, &str>) -> Value {
    let (expect, sequence) = match outcome {
        Ok(sequence) => ("ok", Value::from(sequence)),
        Err(code) => (code, Value::Null),
    };
    json!({"name": name, "do": "walk", "now": NOW, "anchors": sets, "sequence": sequence, "expect": expect})
}

/// A set with both roots, where the second takes over.
fn handover(sequence: u64, signers: &[Key]) -> String {
    let mut keys = usual_keys();
    keys[0] = ROOT.anchor("root", "retiring");
    keys.push(NEXT_ROOT.anchor("root", "active"));
    envelope("trust-anchors", &anchors(sequence, &keys), signers)
}

/// A set with only the second root.
fn taken_over(sequence: u64, signers: &[Key]) -> String {
    let keys = [NEXT_ROOT.anchor("root", "active"), NEXT_POLICY.anchor("policy-signing", "active")];
    envelope("trust-anchors", &anchors(sequence, &keys), signers)
}

pub fn cases() -> Vec<Value> {
    let set = |payload: &Value, keys: &[Key]| envelope("trust-anchors", payload, keys);
    let usual_payload = || anchors(1, &usual_keys());
    let second = |keys: &[Key]| set(&anchors(2, &usual_keys()), keys);
    let twice = usual_payload().to_string().replacen("\"sequence\":1", "\"sequence\":1,\"sequence\":2", 1);
    let expired = with(anchors(2, &usual_keys()), "expires_at", "2026-01-05T09:30:00Z");
    let mut revoked = usual_keys();
    revoked[0] = ROOT.anchor("root", "revoked");
    let mut forward_use = usual_keys();
    forward_use.push(with(STRANGER.anchor("root", "active"), "use", "witness"));
    vec![
        walk("a first set signed by its own root", vec![usual()], Ok(1)),
        walk("an unknown use is ignored", vec![set(&anchors(1, &forward_use), &[ROOT])], Ok(1)),
        walk("a first set signed by a key of no set", vec![set(&usual_payload(), &[STRANGER])], Err("unknown_key")),
        walk("a first set signed by a key for policies", vec![set(&usual_payload(), &[POLICY])], Err("wrong_use")),
        walk("a first set whose root is revoked", vec![set(&anchors(1, &revoked), &[ROOT])], Err("revoked_key")),
        walk("an envelope of another type", vec![envelope("policy", &usual_payload(), &[ROOT])], Err("wrong_type")),
        walk(
            "another schema",
            vec![set(&with(usual_payload(), "schema", "tenantry.trust-anchors.v2"), &[ROOT])],
            Err("bad_schema"),
        ),
        walk(
            "a time without a zone",
            vec![set(&with(usual_payload(), "issued_at", "2026-01-05T09:00:00"), &[ROOT])],
            Err("bad_schema"),
        ),
        walk(
            "a member that occurs twice",
            vec![envelope_of("application/vnd.tenantry.trust-anchors+json", twice.as_bytes(), &[ROOT])],
            Err("bad_payload"),
        ),
        walk("not JSON", vec!["DSSEv1".to_owned()], Err("malformed")),
        walk("a flipped byte of the payload", vec![flip_payload(&usual())], Err("bad_signature")),
        walk("the next set", vec![usual(), second(&[ROOT])], Ok(2)),
        walk(
            "an expired set in the walk",
            vec![usual(), set(&expired, &[ROOT]), set(&anchors(3, &usual_keys()), &[ROOT])],
            Ok(3),
        ),
        walk("a set that skips a sequence", vec![usual(), set(&anchors(3, &usual_keys()), &[ROOT])], Err("not_next")),
        walk("a set of the same sequence", vec![usual(), usual()], Err("not_next")),
        walk(
            "a set issued before the one before it",
            vec![usual(), set(&with(anchors(2, &usual_keys()), "issued_at", "2026-01-05T08:00:00Z"), &[ROOT])],
            Err("not_next"),
        ),
        walk("a root hands over", vec![usual(), handover(2, &[ROOT, NEXT_ROOT]), taken_over(3, &[NEXT_ROOT])], Ok(3)),
        walk(
            "a client two sets behind",
            vec![usual(), second(&[ROOT]), handover(3, &[ROOT]), taken_over(4, &[NEXT_ROOT])],
            Ok(4),
        ),
        walk(
            "a new root that the old one did not sign",
            vec![usual(), taken_over(2, &[NEXT_ROOT])],
            Err("unknown_key"),
        ),
        walk(
            "a set that only the old root signed, which is not in it",
            vec![usual(), taken_over(2, &[ROOT])],
            Err("unknown_key"),
        ),
        walk(
            "a change of the root in one step, signed by both",
            vec![usual(), taken_over(2, &[ROOT, NEXT_ROOT])],
            Ok(2),
        ),
    ]
}

/// Changes one byte of the payload.
pub fn flip_payload(envelope: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let mut value: Value = serde_json::from_str(envelope).unwrap();
    let mut payload = STANDARD.decode(value["payload"].as_str().unwrap()).unwrap();
    // The year of the expiry, so that it stays JSON of the same schema.
    let year = b"\"expires_at\":\"2026";
    let at = payload.windows(year.len()).position(|window| window == year).unwrap();
    payload[at + year.len() - 1] = b'7';
    value["payload"] = STANDARD.encode(payload).into();
    value.to_string()
}
