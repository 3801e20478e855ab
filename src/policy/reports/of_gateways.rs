//! What gateways report about the canaries in their policies.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::canaries::{difference, keep};
use crate::{
    base::{IdKind, Result},
    policy::{canary, ending::is_refused, gateway_view::Judged},
    store::{
        Db, Stamp,
        tables::{GatewayMaterialRow, Reporter, TenantRows},
    },
};

/// Counts what gateways have said about their policies on the canaries that are in them: each gateway once, with its last verdict, which is
/// noted in its row. The rows are locked. Returns the canaries that must be withdrawn after the transaction.
pub async fn count_gateways(
    rows: &TenantRows<'_, impl Db>,
    reports: &mut [GatewayMaterialRow],
    least: i64,
    now: Stamp,
) -> Result<Vec<Uuid>> {
    let judged = Judged::read(rows, now).await?;
    let mut changes: BTreeMap<Uuid, (i64, i64)> = BTreeMap::new();
    for row in reports {
        let refused = row.is_refusing();
        let number = if refused { row.refused_number } else { row.applied_number };
        let bucket = canary::bucket(&IdKind::Gateway.show(row.gateway_id));
        let canaries = judged.canaries(bucket, number);
        for id in &canaries {
            let last = row.canaries.iter().find(|verdict| verdict.policy == *id).map(|verdict| verdict.refused);
            let (reported, refusals) = difference(last, refused);
            let change = changes.entry(*id).or_default();
            *change = (change.0 + reported, change.1 + refusals);
        }
        keep(&mut row.canaries.0, &canaries, refused, |id| judged.is_active(id));
    }
    let mut due = Vec::new();
    // In the order of their ids, as reports of devices lock them.
    for (id, (reported, refused)) in changes.into_iter().filter(|(_, change)| *change != (0, 0)) {
        let counted = rows.policies().count_reports(id, Reporter::Gateways, reported, refused).await?;
        due.extend(counted.filter(|row| is_refused(row, least)).map(|row| row.id));
    }
    Ok(due)
}
