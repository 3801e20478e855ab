//! Hosts of tenants: machines with an agent, which register with an enrollment token (control-plane contract, section 6).
//!
//! A host belongs to the tenant of its token. Within a tenant, its fqdn identifies it: a registration with a known fqdn updates that
//! host, and burns no use. Each registration with an enrollment token returns a new token of the host, and the one before is not valid
//! after that. With its own token, a host can only register again, which needs no enrollment token; it cannot do anything else. Both kinds
//! of tokens are checked in the database by each registration, so they are refused at once when the tenant is suspended or deleted.

mod register;
mod rules;

use serde_json::json;
use uuid::Uuid;

use crate::{
    base::{Cx, Error, Result, TenantId, TenantRef, error::Reason},
    store::{Change, ChangeKind, Pages, Resource, Store, Tx, tables::HostRow},
    tenants,
};

pub use register::{Registered, Registration, register};
pub use rules::Description;

/// A host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    pub tenant: TenantId,
    pub row: HostRow,
}

impl Host {
    fn change(&self, kind: ChangeKind) -> Change {
        Change::new(Resource::Host, kind, self.row.id.to_string()).within(self.tenant).at(self.row.version)
    }
}

/// The hosts of a tenant, oldest first; an empty list for a tenant that does not exist.
pub async fn list(cx: &Cx, store: &Store, tenant: &TenantRef) -> Result<Pages<Host>> {
    let scope = match tenants::resolve_any(cx, store, tenant).await {
        Ok((_, scope)) => scope,
        Err(error) if error.reason == Reason::TenantNotFound => return Ok(Pages::whole(Vec::new())),
        Err(error) => return Err(error),
    };
    let rows = store.hosts(cx, scope).await?;
    Ok(rows.map(move |row| Host { tenant: scope.tenant(), row }))
}

/// Removes a host, whose token is not valid after that. It can register again with an enrollment token, as a new host. Fails with
/// NOT_FOUND if the tenant has no such host, or does not exist.
pub async fn remove(cx: &Cx, store: &Store, tenant: &TenantRef, id: Option<Uuid>) -> Result<()> {
    let removed = store.write(cx, (tenant.clone(), id.ok_or_else(not_found)?), remove_in).await;
    removed.map_err(|error| if error.reason == Reason::TenantNotFound { not_found() } else { error })
}

async fn remove_in(tx: &Tx, (tenant, id): &(TenantRef, Uuid)) -> Result<()> {
    let (_, scope) = tenants::resolve_any_locked(tx, tenant).await?;
    let hosts = tx.tenant(scope).hosts();
    let row = hosts.get(*id).await?.ok_or_else(not_found)?;
    if !hosts.delete(*id).await? {
        return Err(not_found());
    }
    let host = Host { tenant: scope.tenant(), row };
    tx.changed(host.change(ChangeKind::Deleted), id.to_string(), json!({"fqdn": host.row.fqdn}));
    Ok(())
}

fn not_found() -> Error {
    Error::not_found(Reason::HostNotFound, "Host not found.")
}
