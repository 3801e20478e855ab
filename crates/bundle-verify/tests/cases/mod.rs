//! The cases.

mod artifacts;
mod statements;
mod walks;

use serde_json::{Value, json};

use crate::signer::{Key, envelope};

/// 2026-01-05T10:00:00Z.
pub const NOW: i64 = 1_767_607_200;
pub const DAY: i64 = 86_400;

/// The keys: roots, two for policies, one for certificates and one for grants.
pub const ROOT: Key = Key(1);
pub const NEXT_ROOT: Key = Key(2);
pub const POLICY: Key = Key(3);
pub const NEXT_POLICY: Key = Key(4);
pub const SPC: Key = Key(5);
pub const ADMISSION: Key = Key(6);
/// In no set.
pub const STRANGER: Key = Key(9);

/// All cases, with what they are for.
pub fn all() -> Value {
    let cases: Vec<_> = walks::cases().into_iter().chain(artifacts::cases()).chain(statements::cases()).collect();
    json!({
        "description": "Each case has an outcome that every implementation must have: ok, or the code of a refusal. \
            docs/bundle-verification.md describes the members.",
        "cases": cases,
    })
}

/// The payload of an anchor set that expires ten days after its issue on the fifth of January.
pub fn anchors(sequence: u64, keys: &[Value]) -> Value {
    json!({
        "schema": "tenantry.trust-anchors.v1", "trust_domain": "example.com", "sequence": sequence,
        "issued_at": "2026-01-05T09:00:00Z", "expires_at": "2026-01-15T09:00:00Z", "refresh_hint_seconds": 300, "anchors": keys,
    })
}

/// The keys of the usual set.
pub fn usual_keys() -> Vec<Value> {
    vec![
        ROOT.anchor("root", "active"),
        POLICY.anchor("policy-signing", "active"),
        SPC.anchor("spc-signing", "active"),
        ADMISSION.anchor("admission-signing", "active"),
    ]
}

/// The envelope of the usual set.
pub fn usual() -> String {
    envelope("trust-anchors", &anchors(1, &usual_keys()), &[ROOT])
}

/// The payload of an artifact that was issued an hour ago and is valid for a week.
pub fn payload(name: &str, version: u64) -> Value {
    json!({
        "schema": format!("tenantry.{name}.v1"), "version": version,
        "issued_at": "2026-01-05T09:00:00Z", "expires_at": "2026-01-12T09:00:00Z",
    })
}

/// An artifact of the usual key for its kind.
pub fn artifact(name: &str, payload: &Value) -> String {
    envelope(name, payload, &[if name == "spc-bundle" { SPC } else { POLICY }])
}

/// Changes a member of a value.
pub fn with(mut value: Value, member: &str, to: impl Into<Value>) -> Value {
    value[member] = to.into();
    value
}
