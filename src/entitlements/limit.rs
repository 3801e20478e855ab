//! The limits of a tenant, and the error of one that is reached.

use super::plan::Plan;
use crate::{
    base::{
        Error, Result,
        error::{LimitReached, Reason},
    },
    store::{Db, tables::TenantRows},
};

/// The limit of a tenant with this name: the one that overrides that of its plan, or that of its plan. None if it has no limit.
pub(super) async fn limit<C: Db>(rows: &TenantRows<'_, C>, name: &str) -> Result<Option<u64>> {
    let Some(settings) = rows.zerotrust().get().await? else { return Ok(None) };
    match settings.overrides.get(name) {
        Some(limit) => Ok(limit.as_u64()),
        None => Ok(settings.plan.parse::<Plan>()?.limit(name)),
    }
}

/// Fails with FAILED_PRECONDITION if there is no room for `more` of a resource.
pub(super) fn refuse_more(resource: &'static str, words: &str, limit: u64, used: u64, more: u64) -> Result<()> {
    if used.saturating_add(more) <= limit {
        return Ok(());
    }
    let message = format!("the limit of {limit} {words} is reached");
    Err(Error::limit_reached(Reason::EntitlementExceeded, message, LimitReached { resource, limit, used }))
}
