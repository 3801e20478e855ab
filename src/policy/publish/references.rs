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

/// Fails with INVALID_ARGUMENT if the tenant does not have the group of a scope.
pub(super) async fn require_scope(rows: &TenantRows<'_, impl Db>, scope: Scope) -> Result<()> {
    match scope {
        Scope::Group(group) if rows.groups().existing(&[group]).await?.is_empty() => {
            Err(Error::invalid(Reason::GroupNotFound, "scope.id", "group not found"))
        }
        Scope::Group(_) | Scope::Tenant | Scope::Device(_) => Ok(()),
    }
}

/// Fails with INVALID_ARGUMENT if the tenant does not have a group of a canary. One that was deleted while the current canary has it
/// may stay.
pub(super) async fn require_groups(
    rows: &TenantRows<'_, impl Db>,
    canary: &PolicyCanary,
    current: Option<&PolicyCanary>,
) -> Result<()> {
    let is_new = |group: &&Uuid| current.is_none_or(|current| !current.group_ids.contains(group));
    let new: Vec<_> = canary.group_ids.iter().filter(is_new).copied().collect();
    if new.is_empty() {
        return Ok(());
    }
    let existing = rows.groups().existing(&new).await?;
    if new.iter().all(|id| existing.contains(id)) {
        return Ok(());
    }
    Err(Error::invalid(Reason::GroupNotFound, "canary.group_ids", "group not found"))
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
