//! The reports on a canary, and its withdrawal. Each canary counts its own reports, so a report costs the same for any number of devices.

use serde_json::json;
use uuid::Uuid;

use crate::{
    base::{IdKind, Result, TenantId, TenantRef, TenantScope},
    policy::{
        publish,
        resolve::{Published, Resolved},
        scope::Scope,
    },
    store::{
        ChangeKind, Db, Store, Tx,
        columns::{CanaryVerdict, PolicyState},
        tables::TenantRows,
    },
    tenants,
};

/// A canary is withdrawn if more than one in this number of the devices that reported on it refused it.
const ONE_IN: i64 = 20;

/// Counts a verdict of a device on the canaries that its policy comes from, each once. `verdicts` are those that it gave before. Returns the
/// canaries that must be withdrawn.
pub(super) async fn count(
    rows: &TenantRows<'_, impl Db>,
    resolved: &Resolved<'_>,
    active: &[Published],
    refused: bool,
    verdicts: &mut Vec<CanaryVerdict>,
    least: i64,
) -> Result<Vec<Uuid>> {
    let of_canary = |policy: &&Published| policy.canary.is_some();
    let mut sources: Vec<_> = resolved.sources.iter().copied().filter(of_canary).map(|policy| policy.id).collect();
    // Reports of several devices lock the canaries in one order.
    sources.sort_unstable();
    let mut due = Vec::new();
    for id in &sources {
        let last = verdicts.iter().find(|verdict| verdict.policy == *id).map(|verdict| verdict.refused);
        let (reported, refusals) = difference(last, refused);
        let counted = rows.policies().count_reports(*id, reported, refusals).await?;
        if counted.is_some_and(|row| is_refused(row.reported, row.refused, least)) {
            due.push(*id);
        }
    }
    // Verdicts on canaries that have ended are not needed.
    verdicts.retain(|verdict| {
        !sources.contains(&verdict.policy) && active.iter().any(|policy| policy.id == verdict.policy)
    });
    verdicts.extend(sources.into_iter().map(|policy| CanaryVerdict { policy, refused }));
    verdicts.sort_unstable_by_key(|verdict| verdict.policy);
    Ok(due)
}

/// Withdraws canaries whose numbers demand it. Their devices get the stable content under a version above all that they had.
pub async fn withdraw(store: &Store, scope: TenantScope, canaries: Vec<Uuid>, least: i64) -> Result<()> {
    for canary in canaries {
        store.maintain("policy.canary.aborted", (scope.tenant(), canary, least), withdraw_in).await?;
    }
    Ok(())
}

async fn withdraw_in(tx: &Tx, (tenant, id, least): &(TenantId, Uuid, i64)) -> Result<()> {
    // Locked, as for a publication: nothing else gets the version.
    let (_, scope) = tenants::resolve_locked(tx, &TenantRef::Id(*tenant)).await?;
    let rows = tx.tenant(scope);
    let Some(row) = rows.policies().get_locked(*id).await? else { return Ok(()) };
    if row.state != PolicyState::Active || !is_refused(row.reported, row.refused, *least) {
        return Ok(());
    }
    let next = rows.latest_policy_version().await?.saturating_add(1);
    rows.policies().end(row.id, PolicyState::Withdrawn, next).await?;
    let of = Scope::of(&row);
    let details = json!({
        "version": row.version, "scope": {"type": of.kind().as_str(), "id": of.shown_id(scope.tenant())},
        "reported": row.reported, "refused": row.refused, "followed_by": next,
    });
    tx.changed(publish::change(scope, &row, ChangeKind::Updated), IdKind::Policy.show(row.id), details);
    Ok(())
}

/// What a verdict changes, after the last one of the device: the numbers of reports and of refusals.
fn difference(last: Option<bool>, refused: bool) -> (i64, i64) {
    (i64::from(last.is_none()), i64::from(refused) - i64::from(last.unwrap_or(false)))
}

/// Whether a canary with these numbers must be withdrawn.
fn is_refused(reported: i64, refused: i64, least: i64) -> bool {
    reported >= least && refused.saturating_mul(ONE_IN) > reported
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_five_percent_of_the_reports_are_too_many_refusals() {
        for (reported, refused, least, expected) in [
            (0, 0, 1, false),
            (1, 1, 1, true),
            (10, 1, 1, true),
            (20, 1, 1, false),
            (39, 2, 1, true),
            (40, 2, 1, false),
            (9, 9, 10, false),
            (10, 1, 10, true),
        ] {
            assert_eq!(is_refused(reported, refused, least), expected, "{refused} of {reported}, {least}");
        }
    }

    #[test]
    fn a_device_counts_once_with_its_last_verdict() {
        assert_eq!(difference(None, false), (1, 0));
        assert_eq!(difference(None, true), (1, 1));
        assert_eq!(difference(Some(false), true), (0, 1));
        assert_eq!(difference(Some(true), true), (0, 0));
        assert_eq!(difference(Some(true), false), (0, -1));
    }
}
