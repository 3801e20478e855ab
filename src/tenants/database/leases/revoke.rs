//! The revocation of leases that were ended.

use futures::{StreamExt, TryStreamExt, stream};

use super::{fault, purpose};
use crate::{
    base::{Error, Result, TenantScope},
    store::{
        Tx,
        tables::{DatabaseLeaseOutcome, DatabaseLeaseRow, settle_database_lease},
    },
    tenants::database::Databases,
};

/// How many leases are read at a time, and how many of them are revoked at the same time.
const PAGE: u64 = 100;
const CONCURRENT: usize = 8;

/// Revokes an ended lease, and forgets it.
pub(super) async fn revoke(databases: &Databases, lease: &DatabaseLeaseRow) -> Result<()> {
    let bao = databases.openbao()?;
    let id = open(databases, lease).await?;
    bao.revoke_lease(&id).await.map_err(fault::of)?;
    databases.store.maintain("database.lease.end", lease.clone(), forget).await
}

async fn forget(tx: &Tx, lease: &DatabaseLeaseRow) -> Result<()> {
    settle_database_lease(tx.conn(), lease, DatabaseLeaseOutcome::Gone).await
}

/// Revokes the ended leases of a tenant. Stops at the first failure.
pub(in crate::tenants::database) async fn revoke_ended(databases: &Databases, scope: TenantScope) -> Result<()> {
    let mut after = None;
    loop {
        let page = databases.store.tenant(scope).database_leases().to_revoke(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id);
        let leases = stream::iter(page).map(Ok::<_, Error>);
        leases.try_for_each_concurrent(CONCURRENT, async |lease| revoke(databases, &lease).await).await?;
    }
}

/// The id of a lease in OpenBAO.
pub(super) async fn open(databases: &Databases, lease: &DatabaseLeaseRow) -> Result<String> {
    let id = databases.sealer.open(Some(lease.tenant_id.tenant()), &purpose(lease.id), &lease.sealed).await?;
    String::from_utf8(id.expose().clone()).map_err(|_| Error::internal("the id of a lease is not text"))
}
