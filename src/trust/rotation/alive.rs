//! Until when something that a key signed is valid.

use time::OffsetDateTime;

use super::{
    keys::{Key, Owner},
    plan::longest_life,
};
use crate::{
    base::Result,
    store::{Stamp, Tx, columns::KeyUse},
};

/// The end of the last thing that a replaced key signed, if one may still be valid. `replaced_at` is when its successor was first used.
pub(super) async fn until(
    tx: &Tx,
    owner: Owner,
    key_use: KeyUse,
    key: &Key,
    replaced_at: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<Option<OffsetDateTime>> {
    let end = match (owner, longest_life(key_use)) {
        (_, Some(life)) => Some(replaced_at + life),
        (Owner::Tenant(scope), None) if key_use == KeyUse::PolicySigning => {
            let rows = tx.tenant(scope);
            let bundles = rows.policy_bundles().signed_until(key.key_id(), now.into()).await?;
            let artifacts = rows.artifacts().signed_until(key.key_id(), now.into()).await?;
            bundles.into_iter().chain(artifacts).max().map(Stamp::time)
        }
        _ => None,
    };
    Ok(end.filter(|end| now < *end))
}

/// What may still be valid, for people.
pub(super) fn what(key_use: KeyUse) -> &'static str {
    match key_use {
        KeyUse::PolicySigning => "policies that it signed are",
        KeyUse::SpcSigning => "security policy certificates that it signed may be",
        KeyUse::AdmissionSigning => "grants that it signed may be",
        KeyUse::Root => "anchor sets that it signed are",
        KeyUse::DeviceCa | KeyUse::GatewayCa | KeyUse::ServerCa => "certificates that it issued may be",
    }
}
