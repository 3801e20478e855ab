//! Pools of gateways (zero-trust contract, section 4.9).

mod rules;

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{drains, state, state::Heartbeat};
use crate::{
    base::{Cx, Error, IdKind, Kind, Page, PageRequest, Result, TenantId, TenantRef, TenantScope, error::Reason},
    identity::groups::lists,
    store::{Change, ChangeKind, Resource, Stamp, Store, Tx, columns::Json, tables::GatewayPoolRow},
    tenants,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayPool {
    pub tenant: TenantId,
    pub row: GatewayPoolRow,
    /// Its gateways that are not revoked.
    pub gateways: Vec<Uuid>,
}

/// Members of a pool that a call sets; the others keep their values. A new pool has the default of what is not set.
#[derive(Clone, Debug, Default)]
pub struct PoolChange {
    pub name: Option<String>,
    pub region: Option<String>,
    pub selection: Option<String>,
    pub weight: Option<i64>,
    pub priority: Option<i64>,
    /// The inner `None`: no limit.
    pub max_sessions: Option<Option<i64>>,
    /// Public ids of groups; empty for all devices.
    pub allowed_group_ids: Option<Vec<String>>,
    pub virtual_cidr: Option<Option<String>>,
    pub dns_servers: Option<Vec<String>>,
    pub offline_grace_seconds: Option<i64>,
}

impl PoolChange {
    /// Sets each member that has a default to it.
    pub fn defaults() -> Self {
        Self {
            name: None,
            region: Some(String::new()),
            selection: Some(rules::SELECTION.as_str().to_owned()),
            weight: Some(rules::WEIGHT),
            priority: Some(rules::PRIORITY),
            max_sessions: Some(None),
            allowed_group_ids: Some(Vec::new()),
            virtual_cidr: Some(None),
            dns_servers: Some(Vec::new()),
            offline_grace_seconds: Some(rules::OFFLINE_GRACE),
        }
    }
}

/// A reference to a pool in a request.
#[derive(Clone, Debug)]
pub struct PoolRef {
    pub tenant: TenantRef,
    /// The public id.
    pub id: String,
    /// The expected version, if the call must fail on another one.
    pub version: Option<i64>,
}

/// Whether a pool accepts sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    None,
    /// Remaining sessions end at this time.
    Draining(OffsetDateTime),
    /// They ended at this time.
    Drained(OffsetDateTime),
}

impl GatewayPool {
    pub fn shown_id(&self) -> String {
        IdKind::GatewayPool.show(self.row.id)
    }

    /// The drain at a time.
    pub fn drain(&self, now: OffsetDateTime) -> Drain {
        match self.row.drain_deadline.map(Stamp::time) {
            None => Drain::None,
            Some(deadline) if now < deadline => Drain::Draining(deadline),
            Some(deadline) => Drain::Drained(deadline),
        }
    }
}

/// A page of the pools of a tenant.
pub async fn page(cx: &Cx, store: &Store, tenant: &TenantRef, request: PageRequest) -> Result<Page<GatewayPool>> {
    let scope = tenants::reach(cx, store, tenant).await?;
    let tables = store.tenant(scope);
    let (rows, total) = tables.gateway_pools().page(request).await?;
    let page = Page::cut(request, rows, total, |row| row.id);
    let ids: Vec<_> = page.items.iter().map(|row| row.id).collect();
    let mut gateways = tables.gateways().ids_of(&ids).await?;
    Ok(page.map(|row| {
        let gateways = gateways.remove(&row.id).unwrap_or_default();
        GatewayPool { tenant: scope.tenant(), row, gateways }
    }))
}

/// Creates a pool. Fails with INVALID_ARGUMENT for an invalid member and for groups that the tenant does not have, with
/// ALREADY_EXISTS if the name is taken (case-insensitively).
pub async fn create(cx: &Cx, store: &Store, tenant: &TenantRef, new: PoolChange) -> Result<GatewayPool> {
    store.write(cx, (tenant.clone(), rules::check(new)?), insert).await
}

async fn insert(tx: &Tx, (tenant, new): &(TenantRef, rules::Checked)) -> Result<GatewayPool> {
    let (_, scope) = tenants::resolve_locked(tx, tenant).await?;
    let now = Stamp::from(tx.now());
    let unset = GatewayPoolRow {
        tenant_id: scope.into(),
        id: tx.new_id(),
        name: String::new(),
        name_key: String::new(),
        region: String::new(),
        selection: rules::SELECTION,
        weight: rules::WEIGHT,
        priority: rules::PRIORITY,
        max_sessions: None,
        allowed_group_ids: Json(Vec::new()),
        virtual_cidr: None,
        dns_servers: Json(Vec::new()),
        drain_deadline: None,
        version: 1,
        created_at: now,
        updated_at: now,
        offline_grace_seconds: rules::OFFLINE_GRACE,
    };
    refuse_unknown_groups(tx, scope, &unset, new).await?;
    let row = rules::changed(unset, new);
    tx.tenant(scope).gateway_pools().insert(&row).await?;
    record(tx, scope, &row, ChangeKind::Created, recorded(&row));
    Ok(GatewayPool { tenant: scope.tenant(), row, gateways: Vec::new() })
}

/// Changes a pool. Fails as [`create`] does, with NOT_FOUND if there is no such pool, with ABORTED if the version differs.
pub async fn update(cx: &Cx, store: &Store, pool: &PoolRef, change: PoolChange) -> Result<GatewayPool> {
    store.write(cx, (pool.clone(), rules::check(change)?), update_in).await
}

async fn update_in(tx: &Tx, (pool, change): &(PoolRef, rules::Checked)) -> Result<GatewayPool> {
    let (scope, before) = locked(tx, pool).await?;
    refuse_unknown_groups(tx, scope, &before, change).await?;
    let row = put(tx, scope, &before, rules::changed(before.clone(), change)).await?;
    record(tx, scope, &row, ChangeKind::Updated, json!({"before": recorded(&before), "after": recorded(&row)}));
    with_gateways(tx, scope, row).await
}

/// Drains a pool: its sessions may continue for this number of seconds, 300 if it is not given. Fails with INVALID_ARGUMENT for an
/// invalid number, and as [`update`] does.
pub async fn drain(cx: &Cx, store: &Store, pool: &PoolRef, seconds: Option<i32>) -> Result<GatewayPool> {
    store.write(cx, (pool.clone(), Some(drains::duration(seconds)?)), drain_in).await
}

/// Ends the drain of a pool. Fails as [`update`] does.
pub async fn undrain(cx: &Cx, store: &Store, pool: &PoolRef) -> Result<GatewayPool> {
    store.write(cx, (pool.clone(), None), drain_in).await
}

async fn drain_in(tx: &Tx, (pool, time): &(PoolRef, Option<Duration>)) -> Result<GatewayPool> {
    let (scope, before) = locked(tx, pool).await?;
    let drain_deadline = time.map(|time| Stamp::from(tx.now() + time));
    let row = put(tx, scope, &before, GatewayPoolRow { drain_deadline, ..before.clone() }).await?;
    let seconds = time.map(Duration::whole_seconds);
    record(tx, scope, &row, ChangeKind::Updated, json!({"name": row.name, "drain_seconds": seconds}));
    with_gateways(tx, scope, row).await
}

/// Deletes a pool, revokes its enrollment tokens and its gateways, and returns it. Fails as [`update`] does, with FAILED_PRECONDITION if
/// one of its gateways is live.
pub async fn delete(cx: &Cx, store: &Store, pool: &PoolRef, heartbeat: Heartbeat) -> Result<GatewayPool> {
    store.write(cx, (pool.clone(), heartbeat), remove).await
}

async fn remove(tx: &Tx, (pool, heartbeat): &(PoolRef, Heartbeat)) -> Result<GatewayPool> {
    let (scope, row) = locked(tx, pool).await?;
    let rows = tx.tenant(scope);
    let gateways = rows.gateways().of_pool(row.id).await?;
    if gateways.iter().any(|gateway| state::is_live(gateway, tx.now(), *heartbeat)) {
        let message = "the pool has gateways that are running; stop or revoke them first";
        return Err(Error::precondition(Reason::EnrolledStateConflict, message));
    }
    let pool =
        GatewayPool { tenant: scope.tenant(), gateways: gateways.iter().map(|gateway| gateway.id).collect(), row };
    for gateway in gateways {
        let revoked = tx.revoke_gateway(scope, gateway).await?;
        tx.also_changed(Change::of_gateway(ChangeKind::Revoked, scope.tenant(), &revoked));
    }
    rows.enrollment_tokens().revoke_of_pool(pool.row.id, tx.now().into()).await?;
    rows.gateway_pools().delete(pool.row.id).await?;
    let details = json!({"name": pool.row.name, "gateways": pool.gateways.len()});
    record(tx, scope, &pool.row, ChangeKind::Deleted, details);
    Ok(pool)
}

async fn with_gateways(tx: &Tx, scope: TenantScope, row: GatewayPoolRow) -> Result<GatewayPool> {
    let mut gateways = tx.tenant(scope).gateways().ids_of(&[row.id]).await?;
    Ok(GatewayPool { tenant: scope.tenant(), gateways: gateways.remove(&row.id).unwrap_or_default(), row })
}

/// Loads and locks the pool of a call.
async fn locked(tx: &Tx, pool: &PoolRef) -> Result<(TenantScope, GatewayPoolRow)> {
    let (_, scope) = tenants::resolve_locked(tx, &pool.tenant).await?;
    let id = IdKind::GatewayPool.read(&pool.id).ok_or_else(not_found)?;
    let row = tx.tenant(scope).gateway_pools().get_locked(id).await?.ok_or_else(not_found)?;
    if pool.version.is_some_and(|version| version != row.version) {
        let message = "the gateway pool was changed in the meantime; read it again";
        return Err(Error::new(Kind::Aborted, Reason::VersionStale, message));
    }
    Ok((scope, row))
}

/// Refuses groups that the tenant does not have. A group that was deleted while it was in the list may stay there.
async fn refuse_unknown_groups(
    tx: &Tx,
    scope: TenantScope,
    before: &GatewayPoolRow,
    change: &rules::Checked,
) -> Result<()> {
    let listed = change.allowed_group_ids.iter().flatten().copied();
    let new: Vec<Uuid> = listed.filter(|id| !before.allowed_group_ids.contains(id)).collect();
    lists::require(tx, scope, "allowed_group_ids", &new).await
}

/// Stores a pool as its next version, if it changed.
async fn put(tx: &Tx, scope: TenantScope, before: &GatewayPoolRow, mut row: GatewayPoolRow) -> Result<GatewayPoolRow> {
    if row != *before {
        row.version += 1;
        row.updated_at = tx.now().into();
        tx.tenant(scope).gateway_pools().update(&row).await?;
    }
    Ok(row)
}

fn recorded(row: &GatewayPoolRow) -> Value {
    let groups: Vec<_> = row.allowed_group_ids.iter().map(|id| IdKind::Group.show(*id)).collect();
    json!({
        "name": row.name, "region": row.region, "selection": row.selection.as_str(), "weight": row.weight,
        "priority": row.priority, "max_sessions": row.max_sessions, "allowed_group_ids": groups,
        "virtual_cidr": row.virtual_cidr, "dns_servers": *row.dns_servers,
        "offline_grace_seconds": row.offline_grace_seconds,
    })
}

fn record(tx: &Tx, scope: TenantScope, row: &GatewayPoolRow, kind: ChangeKind, details: Value) {
    let id = IdKind::GatewayPool.show(row.id);
    let change = Change::new(Resource::GatewayPool, kind, id.clone()).within(scope.tenant()).at(row.version);
    tx.changed(change, id, details);
}

fn not_found() -> Error {
    Error::not_found(Reason::GatewayPoolNotFound, "gateway pool not found")
}
