//! Bundles of revocations that continue the one before: what was revoked since that, instead of all.

use alloc::{string::String, vec::Vec};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Accepted, Refusal, strict};

/// Maximum size of a payload that deltas have grown.
const LIMIT: usize = 16 << 20;

/// The members that decide.
#[derive(Deserialize)]
struct Bundle {
    revocations: Option<Revocations>,
}

#[derive(Deserialize)]
struct Revocations {
    serials: Vec<String>,
    epoch: u64,
    full: bool,
    since_sequence: Option<u64>,
}

/// The payload of a bundle with all revocations, if it has only those since an earlier one, which must be the one that is held or one before
/// that. `None` if it has all.
pub(crate) fn whole(held: Option<&Accepted>, payload: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
    let Some(new) = strict::parse::<Bundle>(payload)?.revocations.filter(|revocations| !revocations.full) else {
        return Ok(None);
    };
    let since = new.since_sequence.ok_or(Refusal::BadSchema)?;
    let held = held.filter(|held| since <= held.version).ok_or(Refusal::Gap)?;
    // What is held is whole, as it was accepted.
    let held = strict::parse::<Bundle>(&held.payload)?.revocations.filter(|held| held.full).ok_or(Refusal::Gap)?;
    let epoch = new.epoch.max(held.epoch);
    let mut serials = held.serials;
    let known = serials.len();
    serials.extend(new.serials);
    // A client may get some again.
    let (first, rest) = serials.split_at(known);
    let rest: Vec<String> = rest.iter().filter(|serial| !first.contains(serial)).cloned().collect();
    serials.truncate(known);
    serials.extend(rest);
    let mut members: Map<String, Value> = strict::parse(payload)?;
    let revocations = serde_json::json!({"serials": serials, "epoch": epoch, "full": true});
    members.insert("revocations".into(), revocations);
    let payload = serde_json::to_vec(&members).map_err(|_| Refusal::BadPayload)?;
    if payload.len() > LIMIT { Err(Refusal::TooLarge) } else { Ok(Some(payload)) }
}
