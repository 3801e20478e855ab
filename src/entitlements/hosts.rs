//! The limit of hosts.

use super::limit::limit;
use crate::{
    base::{
        Error, Kind, Result, TenantScope,
        error::{LimitReached, Reason},
    },
    store::Tx,
};

/// Fails with RESOURCE_EXHAUSTED if the tenant may have no further host. The tenant must be locked.
pub async fn require_host(tx: &Tx, scope: TenantScope) -> Result<()> {
    let rows = tx.tenant(scope);
    let Some(limit) = limit(&rows, "hosts").await? else { return Ok(()) };
    let used = rows.hosts().count().await?;
    if used < limit {
        return Ok(());
    }
    // The text is documented (control-plane contract, section 6).
    let error = Error::new(Kind::ResourceExhausted, Reason::HostLimitReached, "Host limit reached for this tenant.");
    Err(Error { limit: Some(Box::new(LimitReached { resource: "hosts", limit, used })), ..error })
}
