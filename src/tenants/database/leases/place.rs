//! The database of a tenant, as its programs reach it.

use super::fault::not_provisioned;
use crate::{
    base::{Error, Result, TenantScope, error::Reason},
    openbao::Name,
    store::Store,
    tenants::{
        Status,
        database::names::{self, DatabaseNames},
        tenant::Tenant,
    },
};

/// The port of PostgreSQL, and the host of a server that is reached through a socket.
const PORT: i64 = 5432;
const HOST: &str = "localhost";

/// Where a program connects, and the role that it gets a login of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub host: String,
    pub port: u16,
    pub database: String,
    pub role: Name,
}

/// The place of the database. Fails if it is not provisioned, or if the placement has other names since then: leases are only of what
/// was created for the tenant.
pub(super) async fn find(store: &Store, scope: TenantScope) -> Result<Place> {
    let rows = store.tenant(scope);
    let provisioned = rows.database().get().await?;
    let placement = rows.placement().get().await?;
    let DatabaseNames { database, .. } = names::read(store.read(), scope.tenant()).await?;
    let role = provisioned.and_then(|provisioned| provisioned.openbao_role);
    let (Some(role), Some(placement), Some(database)) = (role, placement, database) else {
        return Err(Error::precondition(Reason::DatabaseNotProvisioned, not_provisioned()));
    };
    if placement.dbname.as_ref() != Some(&database) || placement.openbao_role.as_ref() != Some(&role) {
        let message = "the placement has other names than the provisioned database; provision the tenant again";
        return Err(Error::precondition(Reason::DatabaseNotProvisioned, message));
    }
    let port = placement.port.unwrap_or(PORT);
    let port = u16::try_from(port).map_err(|_| Error::internal(format!("a placement has the port {port}")))?;
    let role = names::name(&role)?;
    Ok(Place { host: placement.host.unwrap_or_else(|| HOST.to_owned()), port, database, role })
}

/// Fails unless the tenant is in use.
pub(super) fn check_status(tenant: &Tenant) -> Result<()> {
    match tenant.status {
        status if status.admits() => Ok(()),
        Status::Suspended => {
            let message = "the tenant is suspended; no credentials of its database are leased";
            Err(Error::precondition(Reason::TenantNotActive, message))
        }
        _ => Err(crate::tenants::not_found()),
    }
}
