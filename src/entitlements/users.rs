//! Limits of users and of their API keys.

use super::limit::{limit, refuse_more};
use crate::{
    base::{Result, TenantScope},
    store::Tx,
};

/// Fails with FAILED_PRECONDITION if the tenant may have no further user. The tenant must be locked.
pub async fn require_user(tx: &Tx, scope: TenantScope) -> Result<()> {
    require(tx, scope, 1).await
}

/// Fails with FAILED_PRECONDITION if the tenant has more users than it may. Suspended users count. The tenant must be locked.
pub async fn require_no_excess_of_users(tx: &Tx, scope: TenantScope) -> Result<()> {
    require(tx, scope, 0).await
}

async fn require(tx: &Tx, scope: TenantScope, more: u64) -> Result<()> {
    let rows = tx.tenant(scope);
    match limit(&rows, "users").await? {
        Some(limit) => refuse_more("users", "users", limit, rows.accounts().seats().await?, more),
        None => Ok(()),
    }
}

/// Fails with FAILED_PRECONDITION if the tenant may have no further API key. The tenant must be locked.
pub async fn require_api_key(tx: &Tx, scope: TenantScope) -> Result<()> {
    let rows = tx.tenant(scope);
    match limit(&rows, "api_keys").await? {
        Some(limit) => refuse_more("api_keys", "API keys", limit, rows.api_keys().seats(tx.now().into()).await?, 1),
        None => Ok(()),
    }
}
