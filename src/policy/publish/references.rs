//! Checks that what a publication refers to exists.

use uuid::Uuid;

use crate::{
    base::{
        Error, IdKind, Kind, Result,
        error::{Reason, Violation},
    },
    policy::{document::Document, scope::Scope},
    store::{Db, columns::PolicyCanary, tables::TenantRows},
};

/// Fails with INVALID_ARGUMENT if the tenant does not have the group or the device of a scope.
pub(super) async fn require_scope(rows: &TenantRows<'_, impl Db>, scope: Scope) -> Result<()> {
    match scope {
        Scope::Group(group) if rows.groups().existing(&[group]).await?.is_empty() => {
            Err(Error::invalid(Reason::GroupNotFound, "scope.id", "group not found"))
        }
        Scope::Device(device) if rows.devices().existing(&[device]).await?.is_empty() => {
            Err(Error::invalid(Reason::DeviceNotFound, "scope.id", "device not found"))
        }
        Scope::Global | Scope::Group(_) | Scope::Tenant | Scope::Device(_) => Ok(()),
    }
}

/// Fails with INVALID_ARGUMENT if the tenant does not have a group or a device of a canary. What was deleted while the current canary
/// has it may stay.
pub(super) async fn require_cohort(
    rows: &TenantRows<'_, impl Db>,
    canary: &PolicyCanary,
    current: Option<&PolicyCanary>,
) -> Result<()> {
    let groups = added(&canary.group_ids, current.map(|current| current.group_ids.as_slice()));
    if !groups.is_empty() {
        let existing = rows.groups().existing(&groups).await?;
        if !groups.iter().all(|id| existing.contains(id)) {
            return Err(Error::invalid(Reason::GroupNotFound, "canary.group_ids", "group not found"));
        }
    }
    let devices = added(&canary.device_ids, current.map(|current| current.device_ids.as_slice()));
    if devices.is_empty() {
        return Ok(());
    }
    let existing = rows.devices().existing(&devices).await?;
    if devices.iter().all(|id| existing.contains(id)) {
        return Ok(());
    }
    Err(Error::invalid(Reason::DeviceNotFound, "canary.device_ids", "device not found"))
}

/// The ids that the current ones do not have.
fn added(ids: &[Uuid], current: Option<&[Uuid]>) -> Vec<Uuid> {
    ids.iter().filter(|id| current.is_none_or(|current| !current.contains(id))).copied().collect()
}

/// Fails with INVALID_ARGUMENT if the tenant does not have a gateway pool of a policy. One that was deleted while a current policy of
/// the scope has it may stay.
pub(super) async fn require_pools(
    rows: &TenantRows<'_, impl Db>,
    document: &Document,
    current: &[Document],
) -> Result<()> {
    let listed = document.gateway_pools.as_deref().unwrap_or_default();
    let known =
        |pool: &String| current.iter().filter_map(|old| old.gateway_pools.as_ref()).any(|old| old.contains(pool));
    // Their form was checked with the policy.
    let id = |pool: &String| IdKind::GatewayPool.read(pool);
    let new: Vec<_> = listed.iter().filter(|pool| !known(pool)).filter_map(id).collect();
    if new.is_empty() {
        return Ok(());
    }
    let existing = rows.gateway_pools().existing(&new).await?;
    let is_missing = |pool: &String| id(pool).is_some_and(|id| new.contains(&id) && !existing.contains(&id));
    let missing = listed.iter().enumerate().filter(|(_, pool)| is_missing(pool));
    let violation = |(at, _)| Violation {
        field: format!("policy.gateway_pools[{at}]"),
        description: "gateway pool not found".to_owned(),
    };
    let violations: Vec<_> = missing.map(violation).collect();
    let Some(first) = violations.first() else { return Ok(()) };
    let message = format!("{}: {}", first.field, first.description);
    Err(Error { violations, ..Error::new(Kind::InvalidArgument, Reason::GatewayPoolNotFound, message) })
}
