//! The start of provisioning: what is checked and recorded before the database server is asked.

use serde_json::json;

use super::{
    Provisioning,
    operation::{Input, ProvisionTenant, check_status},
};
use crate::{
    base::{Error, Result, TenantRef, TenantScope, error::Reason},
    controlplane::placement::{self, Placement, PlacementInput},
    operations,
    store::Tx,
    tenants::{
        self, Tenant,
        derived_names::{self, NameKind},
    },
};

/// The address of the database server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    /// `None` if it is reached through a socket.
    pub host: Option<String>,
    pub port: u16,
}

/// The placement in a call that sets it.
#[derive(Clone, Debug, Default)]
pub struct AutoPlacement {
    pub host: Option<String>,
    pub port: Option<i32>,
    pub region: Option<String>,
    pub tier: Option<String>,
}

impl AutoPlacement {
    pub(super) fn read(self) -> Result<Placement> {
        let Self { host, port, region, tier } = self;
        placement::read(PlacementInput { host, port, region, tier, ..PlacementInput::default() })
    }
}

/// The tenant, the server, and the placement to be set, if the call sets one.
type Call = (TenantRef, ServerAddress, Option<Placement>);

pub(super) async fn start(tx: &Tx, (tenant, server, given): &Call) -> Result<Provisioning> {
    let (tenant, scope) = tenants::resolve_any_locked(tx, tenant).await?;
    check_status(&tenant)?;
    let stored = tx.tenant(scope).placement().get().await?.map(Placement::from);
    let wanted = match (given.clone(), stored) {
        (Some(given), Some(stored)) => Placement { dbname: stored.dbname, openbao_role: stored.openbao_role, ..given },
        (Some(given), None) => given,
        (None, Some(stored)) => stored,
        (None, None) => {
            let message = "Tenant has no placement; set one before provisioning.";
            return Err(Error::precondition(Reason::PlacementMissing, message));
        }
    };
    check_server(&wanted, server)?;
    let (placement, owner) = named(tx, &tenant, scope, wanted, server).await?;
    let change = placement::put(tx, scope, &placement).await?;
    let operation = match operations::live::<ProvisionTenant>(tx, tenant.id).await? {
        // Its names are the same: they never change.
        Some(live) => {
            operations::hasten(tx, live).await?;
            live
        }
        None => {
            let database = placement.dbname.clone().unwrap_or_default();
            operations::start::<ProvisionTenant>(tx, Some(tenant.id), tenant.name.as_str(), &Input { database, owner })
                .await?
        }
    };
    let details = json!({"operation": operation, "placement": placement::details(&placement)});
    match change {
        Some(change) => tx.changed(change, tenant.name.as_str(), details),
        None => tx.audit_only(Some(tenant.id), tenant.name.as_str(), details),
    }
    Ok(Provisioning { operation, placement })
}

/// Fails if the placement names another server.
fn check_server(placement: &Placement, server: &ServerAddress) -> Result<()> {
    let is_host = |host: &String| server.host.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(host));
    if placement.host.as_ref().is_none_or(is_host) && placement.port.is_none_or(|port| port == server.port) {
        return Ok(());
    }
    let message = "The placement names a server that this provisioner does not manage.";
    Err(Error::precondition(Reason::PlacementConflict, message))
}

/// The placement with its names and the address of the server, and the name of the owner role. The names are recorded, so that no
/// other tenant gets them, even after this one was deleted.
async fn named(
    tx: &Tx,
    tenant: &Tenant,
    scope: TenantScope,
    wanted: Placement,
    server: &ServerAddress,
) -> Result<(Placement, String)> {
    let owner = derived_names::derive(tx, scope, &tenant.name, NameKind::DATABASE_OWNER).await?;
    let dbname = name(tx, tenant, scope, NameKind::DATABASE, wanted.dbname).await?;
    let openbao_role = name(tx, tenant, scope, NameKind::OPENBAO_ROLE, wanted.openbao_role).await?;
    let placement = Placement {
        host: wanted.host.or_else(|| server.host.clone()),
        port: Some(server.port),
        dbname: Some(dbname),
        openbao_role: Some(openbao_role),
        ..wanted
    };
    Ok((placement, owner))
}

/// The chosen name, or the one that is recorded or derived.
async fn name(tx: &Tx, tenant: &Tenant, scope: TenantScope, kind: NameKind, chosen: Option<String>) -> Result<String> {
    match chosen {
        Some(chosen) => derived_names::claim(tx, scope, kind, &chosen).await.map(|()| chosen),
        None => derived_names::derive(tx, scope, &tenant.name, kind).await,
    }
}
