//! The reports on a canary. Each canary counts its own reports, so a report costs the same for any number of devices.

use uuid::Uuid;

use crate::{
    base::Result,
    policy::{
        ending::is_refused,
        resolve::{Published, Resolved},
    },
    store::{
        Db,
        columns::CanaryVerdict,
        tables::{Reporter, TenantRows},
    },
};

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
        let counted = rows.policies().count_reports(*id, Reporter::Devices, reported, refusals).await?;
        if counted.is_some_and(|row| is_refused(&row, least)) {
            due.push(*id);
        }
    }
    keep(verdicts, &sources, refused, |id| active.iter().any(|policy| policy.id == id));
    Ok(due)
}

/// Notes a verdict on these canaries. Verdicts on canaries that have ended are not needed.
pub(super) fn keep(
    verdicts: &mut Vec<CanaryVerdict>,
    canaries: &[Uuid],
    refused: bool,
    is_active: impl Fn(Uuid) -> bool,
) {
    verdicts.retain(|verdict| !canaries.contains(&verdict.policy) && is_active(verdict.policy));
    verdicts.extend(canaries.iter().map(|policy| CanaryVerdict { policy: *policy, refused }));
    verdicts.sort_unstable_by_key(|verdict| verdict.policy);
}

/// What a verdict changes, after the last one of the device: the numbers of reports and of refusals.
pub(super) fn difference(last: Option<bool>, refused: bool) -> (i64, i64) {
    (i64::from(last.is_none()), i64::from(refused) - i64::from(last.unwrap_or(false)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_counts_once_with_its_last_verdict() {
        assert_eq!(difference(None, false), (1, 0));
        assert_eq!(difference(None, true), (1, 1));
        assert_eq!(difference(Some(false), true), (0, 1));
        assert_eq!(difference(Some(true), true), (0, 0));
        assert_eq!(difference(Some(true), false), (0, -1));
    }
}
