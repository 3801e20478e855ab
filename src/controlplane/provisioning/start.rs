//! The start of provisioning: what is checked and recorded before the database server is asked.

use serde_json::json;

use super::{
    Provisioning,
    identity::OpenBaoNames,
    operation::{Input, ProvisionTenant, check_status},
};
use crate::{
    base::{Error, Result, TenantRef, TenantScope, error::Reason},
    controlplane::placement::{self, Placement, PlacementInput},
    operations,
    providers::provisioner::Provisioner,
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

impl ServerAddress {
    /// The address of the server of a provisioner.
    pub fn of(provisioner: &Provisioner) -> Self {
        let (host, port) = provisioner.address();
        Self { host: host.map(str::to_owned), port }
    }
}

/// What provisioning uses, by the settings of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The database server; `None` if none is configured.
    pub server: Option<ServerAddress>,
    /// Whether OpenBAO is configured. Without it, databases have no identity there.
    pub openbao: bool,
}

impl Site {
    /// Whether both are configured.
    pub fn is_complete(&self) -> bool {
        self.server.is_some() && self.openbao
    }
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

/// The tenant, the site, and the placement to be set, if the call sets one.
type Call = (TenantRef, Site, Option<Placement>);

pub(super) async fn start(tx: &Tx, (tenant, site, given): &Call) -> Result<Provisioning> {
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
    let server = site.server.as_ref().ok_or_else(without_server)?;
    check_server(&wanted, server)?;
    let (placement, input) = named(tx, &tenant, scope, wanted, server, site.openbao).await?;
    let change = placement::put(tx, scope, &placement).await?;
    let operation = match operations::live::<ProvisionTenant>(tx, tenant.id).await? {
        // Its names are the same: they never change.
        Some(live) => {
            operations::hasten(tx, live).await?;
            live
        }
        None => operations::start::<ProvisionTenant>(tx, Some(tenant.id), tenant.name.as_str(), &input).await?,
    };
    let details = json!({"operation": operation, "placement": placement::details(&placement)});
    match change {
        Some(change) => tx.changed(change, tenant.name.as_str(), details),
        None => tx.audit_only(Some(tenant.id), tenant.name.as_str(), details),
    }
    Ok(Provisioning { operation, tenant: tenant.id, placement, openbao_role: input.openbao.map(|names| names.role) })
}

fn without_server() -> Error {
    let message = "Tenant provisioning failed: no database server is configured; set TENANTRY_PROVISIONER_URL.";
    Error::precondition(Reason::ProvisionerMissing, message)
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

/// The placement with its names and the address of the server, and the names for the operation. They are recorded, so that no other
/// tenant gets them, even after this one was deleted.
async fn named(
    tx: &Tx,
    tenant: &Tenant,
    scope: TenantScope,
    wanted: Placement,
    server: &ServerAddress,
    in_openbao: bool,
) -> Result<(Placement, Input)> {
    let owner = derived_names::derive(tx, scope, &tenant.name, NameKind::DATABASE_OWNER).await?;
    let database = name(tx, tenant, scope, NameKind::DATABASE, wanted.dbname.clone()).await?;
    let mut openbao_role = wanted.openbao_role.clone();
    let mut openbao = None;
    if in_openbao {
        let connection = derived_names::derive(tx, scope, &tenant.name, NameKind::OPENBAO_CONNECTION).await?;
        let role = name(tx, tenant, scope, NameKind::OPENBAO_ROLE, openbao_role).await?;
        openbao_role = Some(role.clone());
        openbao = Some(OpenBaoNames { connection, role });
    }
    let placement = Placement {
        host: wanted.host.or_else(|| server.host.clone()),
        port: Some(server.port),
        dbname: Some(database.clone()),
        openbao_role,
        ..wanted
    };
    Ok((placement, Input { database, owner, openbao }))
}

/// The chosen name, or the one that is recorded or derived.
async fn name(tx: &Tx, tenant: &Tenant, scope: TenantScope, kind: NameKind, chosen: Option<String>) -> Result<String> {
    match chosen {
        Some(chosen) => derived_names::claim(tx, scope, kind, &chosen).await.map(|()| chosen),
        None => derived_names::derive(tx, scope, &tenant.name, kind).await,
    }
}
