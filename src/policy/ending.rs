//! The end of canaries: when their time is over, and when too many of their devices or gateways refuse them. Their devices and gateways get
//! the stable content then, under a version above all that they had.

use serde_json::json;
use uuid::Uuid;

use super::{publish, scope::Scope, standing};
use crate::{
    base::{IdKind, Result, TenantId, TenantRef, TenantScope},
    store::{
        ChangeKind, Db, Store, Tx,
        columns::PolicyState,
        tables::{PolicyRow, TenantRows},
    },
    tenants,
};

/// A canary is withdrawn if more than one in this number of the devices, or of the gateways, that reported on it refused it
/// (zero-trust contract, decisions, "Canary").
pub(super) const ONE_IN: i64 = 20;

/// The audit actions.
pub(super) const ABORTED: &str = "policy.canary.aborted";
pub(super) const EXPIRED: &str = "policy.canary.expired";

/// Ends the canaries of a tenant whose time is over. What reads versions for devices or gateways calls it first, so that they get other
/// content only under a higher version.
pub async fn settle(store: &Store, scope: TenantScope) -> Result<()> {
    let now = store.clock().now();
    if store.tenant(scope).policies().expired_canaries(now.into()).await?.is_empty() {
        return Ok(());
    }
    store.maintain(EXPIRED, scope.tenant(), expire_in).await
}

/// Withdraws canaries whose numbers demand it.
pub async fn withdraw(store: &Store, scope: TenantScope, canaries: Vec<Uuid>, least: i64) -> Result<()> {
    for canary in canaries {
        store.maintain(ABORTED, (scope.tenant(), canary, least), withdraw_in).await?;
    }
    Ok(())
}

pub(super) async fn expire_in(tx: &Tx, tenant: &TenantId) -> Result<()> {
    let (_, scope) = tenants::resolve_any_locked(tx, &TenantRef::Id(*tenant)).await?;
    let rows = tx.tenant(scope);
    for row in rows.policies().expired_canaries(tx.now().into()).await? {
        end(tx, scope, &rows, &row, PolicyState::Expired).await?;
    }
    Ok(())
}

pub(super) async fn withdraw_in(tx: &Tx, (tenant, id, least): &(TenantId, Uuid, i64)) -> Result<()> {
    // Locked, as for a publication: nothing else gets the version.
    let (_, scope) = tenants::resolve_any_locked(tx, &TenantRef::Id(*tenant)).await?;
    let rows = tx.tenant(scope);
    let Some(row) = rows.policies().get_locked(*id).await? else { return Ok(()) };
    if !standing::counts(&row, tx.now().into()) || !is_refused(&row, *least) {
        return Ok(());
    }
    end(tx, scope, &rows, &row, PolicyState::Withdrawn).await
}

async fn end(
    tx: &Tx,
    scope: TenantScope,
    rows: &TenantRows<'_, impl Db>,
    row: &PolicyRow,
    state: PolicyState,
) -> Result<()> {
    let next = rows.latest_policy_version().await?.saturating_add(1);
    rows.policies().end(row.id, state, next).await?;
    let details = json!({
        "version": row.version, "scope": Scope::of(row).to_json(scope.tenant()),
        "reported": row.reported, "refused": row.refused,
        "gateways_reported": row.gateways_reported, "gateways_refused": row.gateways_refused, "followed_by": next,
    });
    tx.changed(publish::change(scope, row, ChangeKind::Updated), IdKind::Policy.show(row.id), details);
    Ok(())
}

/// Whether a canary with these numbers must be withdrawn.
pub(super) fn is_refused(row: &PolicyRow, least: i64) -> bool {
    let too_many = |refused: i64, reported: i64| refused.saturating_mul(ONE_IN) > reported;
    let reports = row.reported.saturating_add(row.gateways_reported);
    reports >= least && (too_many(row.refused, row.reported) || too_many(row.gateways_refused, row.gateways_reported))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::standing::tests::canary_row;

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
            let devices = PolicyRow { reported, refused, ..canary_row() };
            assert_eq!(is_refused(&devices, least), expected, "{refused} of {reported} devices, {least}");
            let gateways = PolicyRow { gateways_reported: reported, gateways_refused: refused, ..canary_row() };
            assert_eq!(is_refused(&gateways, least), expected, "{refused} of {reported} gateways, {least}");
        }
    }

    #[test]
    fn many_devices_do_not_hide_few_gateways() {
        let row = PolicyRow { reported: 1000, refused: 0, gateways_reported: 10, gateways_refused: 10, ..canary_row() };
        assert!(is_refused(&row, 1));
        // The reports of both kinds are those that there must be.
        assert!(is_refused(&row, 1010) && !is_refused(&row, 1011));
    }
}
