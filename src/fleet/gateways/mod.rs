//! Gateways of a tenant (zero-trust contract, section 8).

mod deployment;
mod health;
mod rules;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{drains, state, state::Heartbeat};
use crate::{
    base::{Cx, Error, IdKind, Kind, Page, PageRequest, Result, TenantId, TenantRef, TenantScope, error::Reason},
    identity::reason as checked_reason,
    store::{
        Change, ChangeKind, Db, Stamp, Store, Tx,
        columns::{EndReason, MaterialKind},
        tables::{CredentialRow, GatewayRow, SessionsAt, TenantRows},
    },
    tenants,
};

pub use super::state::State;
pub use deployment::DeploymentConfig;
pub use health::{Cause, Health};
pub use rules::Action;

/// Maximum number of gateways in one statement.
const AT_ONCE: usize = 500;

#[derive(Clone, Debug, PartialEq)]
pub struct Gateway {
    pub tenant: TenantId,
    pub row: GatewayRow,
    /// Its newest credential.
    pub credential: Option<CredentialRow>,
    pub health: Health,
}

/// A reference to a gateway in a request.
#[derive(Clone, Debug)]
pub struct GatewayRef {
    pub tenant: TenantRef,
    /// The public id.
    pub id: String,
    /// The expected version, if the call must fail on another one.
    pub version: Option<i64>,
}

impl Gateway {
    pub fn shown_id(&self) -> String {
        IdKind::Gateway.show(self.row.id)
    }
}

/// A page of the gateways of a tenant, or of one of its pools by public id. Fails with INVALID_ARGUMENT for a text that is not the
/// id of a pool.
pub async fn page(
    cx: &Cx,
    store: &Store,
    tenant: &TenantRef,
    pool: Option<&str>,
    request: PageRequest,
    heartbeat: Heartbeat,
) -> Result<Page<Gateway>> {
    let pool = pool_of(pool)?;
    let scope = tenants::reach(cx, store, tenant).await?;
    let tables = store.tenant(scope);
    let (rows, total) = tables.gateways().page(pool, request).await?;
    let page = Page::cut(request, rows, total, |row| row.id);
    let items = observed(&tables, scope, page.items, cx.clock.now(), heartbeat).await?;
    Ok(Page { items, next: page.next, total: page.total })
}

/// The gateways of a tenant that are not revoked, oldest first; those of a pool if it is given. Fails with INVALID_ARGUMENT for a text
/// that is not the id of a pool.
pub async fn present(
    cx: &Cx,
    store: &Store,
    tenant: &TenantRef,
    pool: Option<&str>,
    heartbeat: Heartbeat,
) -> Result<Vec<Gateway>> {
    let pool = pool_of(pool)?;
    let scope = tenants::reach(cx, store, tenant).await?;
    let tables = store.tenant(scope);
    let rows = tables.gateways().present(pool).await?;
    observed(&tables, scope, rows, cx.clock.now(), heartbeat).await
}

fn pool_of(id: Option<&str>) -> Result<Option<Uuid>> {
    let invalid = || Error::invalid(Reason::InvalidArgument, "pool_id", "not a pool id");
    id.map(|id| IdKind::GatewayPool.read(id).ok_or_else(invalid)).transpose()
}

/// Gateways with their credentials and their health.
async fn observed(
    tables: &TenantRows<'_, impl Db>,
    scope: TenantScope,
    rows: Vec<GatewayRow>,
    now: OffsetDateTime,
    heartbeat: Heartbeat,
) -> Result<Vec<Gateway>> {
    let mut gateways = Vec::with_capacity(rows.len());
    let wanted = health::wanted(tables, now).await?;
    for rows in rows.chunks(AT_ONCE) {
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        let mut credentials = tables.gateways().credentials(&ids).await?;
        let reports = tables.gateway_reports().of(&ids).await?;
        let materials = tables.gateway_materials();
        let policies = materials.of(MaterialKind::GatewayPolicy, &ids).await?;
        let anchors = materials.of(MaterialKind::TrustAnchors, &ids).await?;
        let pools: BTreeSet<Uuid> = rows.iter().map(|row| row.pool_id).collect();
        let pools = tables.gateway_pools().of(&pools.into_iter().collect::<Vec<_>>()).await?;
        gateways.extend(rows.iter().map(|row| {
            let credential = credentials.remove(&row.id);
            let of = health::Observed {
                row,
                credential: credential.as_ref(),
                report: reports.get(&row.id),
                policy: policies.get(&row.id),
                anchors: anchors.get(&row.id),
                pool: pools.get(&row.pool_id),
            };
            let health = health::health(of, &wanted, now, heartbeat);
            Gateway { tenant: scope.tenant(), row: row.clone(), credential, health }
        }));
    }
    Ok(gateways)
}

/// Does something to a gateway, and returns it as it is then, or was before its deletion. Fails with INVALID_ARGUMENT for an invalid
/// reason or duration, with NOT_FOUND if there is no such gateway, with ABORTED if the version differs, with FAILED_PRECONDITION if it is
/// revoked, and for draining the last online gateway of its pool without force.
pub async fn change(
    cx: &Cx,
    store: &Store,
    gateway: &GatewayRef,
    action: Action,
    reason: Option<String>,
    heartbeat: Heartbeat,
) -> Result<Gateway> {
    let time = match action {
        Action::Drain { seconds, .. } => Some(drains::duration(seconds)?),
        _ => None,
    };
    let reason = checked_reason(reason)?;
    store.write(cx, Changing { gateway: gateway.clone(), action, time, reason, heartbeat }, change_in).await
}

/// A valid change of a gateway.
struct Changing {
    gateway: GatewayRef,
    action: Action,
    /// The time of a drain.
    time: Option<Duration>,
    reason: Option<String>,
    heartbeat: Heartbeat,
}

async fn change_in(tx: &Tx, change: &Changing) -> Result<Gateway> {
    let Changing { gateway, action, time, reason, heartbeat } = change;
    let (scope, before) = locked(tx, gateway).await?;
    let was = shown(tx, scope, before.clone(), *heartbeat).await?;
    let details = |name: &str| json!({"name": name, "reason": reason});
    let row = match action {
        Action::Delete => delete(tx, scope, before, details).await?,
        Action::Revoke => {
            rules::refuse_revoked(&before)?;
            let row = tx.revoke_gateway(scope, before).await?;
            record(tx, scope, &row, ChangeKind::Revoked, details(&row.name));
            row
        }
        Action::Disable | Action::Enable | Action::Drain { .. } | Action::Undrain => {
            let deadline = time.map(|time| Stamp::from(tx.now() + time));
            let after = rules::after(&before, *action, deadline)?;
            if let Action::Drain { force: false, .. } = action {
                refuse_last(tx, scope, &before, *heartbeat).await?;
            }
            let row = put(tx, scope, &before, after).await?;
            if *action == Action::Disable {
                let of = SessionsAt::Gateway(row.id);
                tx.end_access_sessions(scope, of, EndReason::GatewayDisabled).await?;
            }
            let drain = time.map(Duration::whole_seconds);
            let details = json!({"name": row.name, "reason": reason, "drain_seconds": drain});
            match row.version == before.version {
                true => tx.audit_only(Some(scope.tenant()), IdKind::Gateway.show(row.id), details),
                false => record(tx, scope, &row, ChangeKind::Updated, details),
            }
            row
        }
    };
    if *action == Action::Delete { Ok(was) } else { shown(tx, scope, row, *heartbeat).await }
}

/// A gateway as it is in a write.
async fn shown(tx: &Tx, scope: TenantScope, row: GatewayRow, heartbeat: Heartbeat) -> Result<Gateway> {
    let found = observed(&tx.tenant(scope), scope, vec![row], tx.now(), heartbeat).await?.pop();
    found.ok_or_else(|| Error::internal("a gateway has no state"))
}

/// Loads and locks the gateway of a call.
async fn locked(tx: &Tx, gateway: &GatewayRef) -> Result<(TenantScope, GatewayRow)> {
    let (_, scope) = tenants::resolve_locked(tx, &gateway.tenant).await?;
    let id = IdKind::Gateway.read(&gateway.id).ok_or_else(not_found)?;
    let row = tx.tenant(scope).gateways().get_locked(id).await?.ok_or_else(not_found)?;
    if gateway.version.is_some_and(|version| version != row.version) {
        let message = "the gateway was changed in the meantime; read it again";
        return Err(Error::new(Kind::Aborted, Reason::VersionStale, message));
    }
    Ok((scope, row))
}

/// Deletes a gateway, revokes its credentials, and ends its sessions.
async fn delete(
    tx: &Tx,
    scope: TenantScope,
    row: GatewayRow,
    details: impl FnOnce(&str) -> Value,
) -> Result<GatewayRow> {
    let rows = tx.tenant(scope);
    rows.credentials().revoke(row.id, tx.now().into()).await?;
    tx.end_access_sessions(scope, SessionsAt::Gateway(row.id), EndReason::GatewayDeleted).await?;
    rows.gateway_reports().delete(row.id).await?;
    rows.gateways().delete(row.id).await?;
    record(tx, scope, &row, ChangeKind::Deleted, details(&row.name));
    Ok(row)
}

/// Refuses to drain the only online gateway of a pool. The tenant is locked, so the second of two drains sees the first.
async fn refuse_last(tx: &Tx, scope: TenantScope, leaving: &GatewayRow, heartbeat: Heartbeat) -> Result<()> {
    let now = tx.now();
    if state::of(leaving, now, heartbeat) != State::Online {
        return Ok(());
    }
    let of_pool = tx.tenant(scope).gateways().of_pool(leaving.pool_id).await?;
    if of_pool.iter().any(|other| other.id != leaving.id && state::of(other, now, heartbeat) == State::Online) {
        return Ok(());
    }
    let message = "this is the last online gateway of its pool; set force to drain it nevertheless";
    Err(Error::precondition(Reason::EnrolledStateConflict, message))
}

/// Stores a gateway as its next version, if it changed.
async fn put(tx: &Tx, scope: TenantScope, before: &GatewayRow, mut row: GatewayRow) -> Result<GatewayRow> {
    if row != *before {
        row.version += 1;
        row.updated_at = tx.now().into();
        tx.tenant(scope).gateways().update(&row).await?;
    }
    Ok(row)
}

fn record(tx: &Tx, scope: TenantScope, row: &GatewayRow, kind: ChangeKind, details: Value) {
    tx.changed(Change::of_gateway(kind, scope.tenant(), row), IdKind::Gateway.show(row.id), details);
}

pub(crate) fn not_found() -> Error {
    Error::not_found(Reason::GatewayNotFound, "gateway not found")
}
