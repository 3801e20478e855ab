//! Where the database of a tenant is (control-plane contract, section 3.3). A placement records this; nothing is
//! created.

mod rules;

use serde_json::json;

pub(super) use self::rules::read;
use crate::{
    base::{Cx, Error, Result, TenantId, TenantRef, TenantScope, error::Reason},
    store::{Change, ChangeKind, Resource, Store, Tx, columns::PlacementTier, tables::PlacementRow},
    tenants,
};

/// Where the database of a tenant is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Host names or addresses, separated by commas.
    pub host: Option<String>,
    pub port: Option<u16>,
    pub dbname: Option<String>,
    pub region: Option<String>,
    pub tier: PlacementTier,
    /// The role in OpenBAO that issues credentials.
    pub openbao_role: Option<String>,
}

/// A placement as a caller gives it.
#[derive(Clone, Debug, Default)]
pub struct PlacementInput {
    pub host: Option<String>,
    pub port: Option<i32>,
    pub dbname: Option<String>,
    pub region: Option<String>,
    pub tier: Option<String>,
    pub openbao_role: Option<String>,
}

impl From<PlacementRow> for Placement {
    fn from(row: PlacementRow) -> Self {
        Self {
            host: row.host,
            port: row.port.and_then(|port| u16::try_from(port).ok()),
            dbname: row.dbname,
            region: row.region,
            tier: row.tier,
            openbao_role: row.openbao_role,
        }
    }
}

/// The placement of a tenant. Fails with NOT_FOUND if the tenant does not exist or has none.
pub async fn get(cx: &Cx, store: &Store, tenant: &TenantRef) -> Result<(TenantId, Placement)> {
    let found = tenants::resolve_any(cx, store, tenant).await;
    let (tenant, scope) = found.map_err(|error| match error.reason {
        Reason::TenantNotFound => not_found(),
        _ => error,
    })?;
    let placement = find(store, scope).await?.ok_or_else(not_found)?;
    Ok((tenant.id, placement))
}

/// The placement of a tenant, if it has one.
pub async fn find(store: &Store, scope: TenantScope) -> Result<Option<Placement>> {
    Ok(store.tenant(scope).placement().get().await?.map(Placement::from))
}

/// Replaces the placement of a tenant. Checks, in this order: the fields, the tier, and the tenant.
pub async fn replace(
    cx: &Cx,
    store: &Store,
    tenant: &TenantRef,
    input: PlacementInput,
) -> Result<(TenantId, Placement)> {
    store.write(cx, (tenant.clone(), read(input)?), replace_in).await
}

async fn replace_in(tx: &Tx, (tenant, placement): &(TenantRef, Placement)) -> Result<(TenantId, Placement)> {
    let (tenant, scope) = tenants::resolve_any_locked(tx, tenant).await?;
    match put(tx, scope, placement).await? {
        Some(change) => tx.changed(change, tenant.name.as_str(), details(placement)),
        None => tx.audit_only(Some(tenant.id), tenant.name.as_str(), details(placement)),
    }
    Ok((tenant.id, placement.clone()))
}

/// Stores a placement. Returns the change, unless the stored one is the same.
pub(super) async fn put(tx: &Tx, scope: TenantScope, placement: &Placement) -> Result<Option<Change>> {
    let rows = tx.tenant(scope).placement();
    let before = rows.get().await?;
    let (now, kind) = (tx.now().into(), before.as_ref().map_or(ChangeKind::Created, |_| ChangeKind::Updated));
    let created_at = before.as_ref().map_or(now, |row| row.created_at);
    if before.map(Placement::from).as_ref() == Some(placement) {
        return Ok(None);
    }
    let Placement { host, port, dbname, region, tier, openbao_role } = placement.clone();
    let row = PlacementRow {
        tenant_id: scope.into(),
        host,
        port: port.map(i64::from),
        dbname,
        region,
        tier,
        openbao_role,
        created_at,
        updated_at: now,
    };
    rows.put(row).await?;
    Ok(Some(Change::new(Resource::Placement, kind, scope.tenant().dashed()).within(scope.tenant())))
}

/// A placement in the audit log.
pub(super) fn details(placement: &Placement) -> serde_json::Value {
    let Placement { host, port, dbname, region, tier, openbao_role } = placement;
    json!({
        "host": host, "port": port, "dbname": dbname, "region": region, "tier": tier.as_str(),
        "openbao_role": openbao_role,
    })
}

fn not_found() -> Error {
    Error::not_found(Reason::PlacementNotFound, "Placement not found.")
}
