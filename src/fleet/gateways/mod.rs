//! Gateways of a tenant (zero-trust contract, section 8).

mod deployment;
mod rules;

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{drains, state};
use crate::{
    base::{Cx, Error, IdKind, Kind, Page, PageRequest, Result, TenantId, TenantRef, TenantScope, error::Reason},
    identity::reason as checked_reason,
    store::{
        Change, ChangeKind, Stamp, Store, Tx,
        tables::{CredentialRow, GatewayRow},
    },
    tenants,
};

pub use super::state::State;
pub use deployment::DeploymentConfig;
pub use rules::Action;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    pub tenant: TenantId,
    pub row: GatewayRow,
    /// Its newest credential.
    pub credential: Option<CredentialRow>,
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

    /// The state at a time.
    pub fn state(&self, now: OffsetDateTime) -> State {
        state::of(&self.row, now)
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
) -> Result<Page<Gateway>> {
    let invalid = || Error::invalid(Reason::InvalidArgument, "pool_id", "not a pool id");
    let pool = pool.map(|id| IdKind::GatewayPool.read(id).ok_or_else(invalid)).transpose()?;
    let scope = tenants::reach(cx, store, tenant).await?;
    let gateways = store.tenant(scope).gateways();
    let (rows, total) = gateways.page(pool, request).await?;
    let page = Page::cut(request, rows, total, |row| row.id);
    let ids: Vec<Uuid> = page.items.iter().map(|row| row.id).collect();
    let mut credentials = gateways.credentials(&ids).await?;
    Ok(page.map(|row| Gateway { tenant: scope.tenant(), credential: credentials.remove(&row.id), row }))
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
) -> Result<Gateway> {
    let time = match action {
        Action::Drain { seconds, .. } => Some(drains::duration(seconds)?),
        _ => None,
    };
    store.write(cx, (gateway.clone(), action, time, checked_reason(reason)?), change_in).await
}

async fn change_in(
    tx: &Tx,
    (gateway, action, time, reason): &(GatewayRef, Action, Option<Duration>, Option<String>),
) -> Result<Gateway> {
    let (scope, before) = locked(tx, gateway).await?;
    let credential = tx.tenant(scope).credentials().latest(before.id).await?;
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
                refuse_last(tx, scope, &before).await?;
            }
            let row = put(tx, scope, &before, after).await?;
            let drain = time.map(Duration::whole_seconds);
            let details = json!({"name": row.name, "reason": reason, "drain_seconds": drain});
            match row.version == before.version {
                true => tx.audit_only(Some(scope.tenant()), IdKind::Gateway.show(row.id), details),
                false => record(tx, scope, &row, ChangeKind::Updated, details),
            }
            row
        }
    };
    let credential = match action {
        Action::Revoke => tx.tenant(scope).credentials().latest(row.id).await?,
        _ => credential,
    };
    Ok(Gateway { tenant: scope.tenant(), row, credential })
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

/// Deletes a gateway, and revokes its credentials.
async fn delete(
    tx: &Tx,
    scope: TenantScope,
    row: GatewayRow,
    details: impl FnOnce(&str) -> Value,
) -> Result<GatewayRow> {
    let rows = tx.tenant(scope);
    rows.credentials().revoke(row.id, tx.now().into()).await?;
    rows.gateways().delete(row.id).await?;
    record(tx, scope, &row, ChangeKind::Deleted, details(&row.name));
    Ok(row)
}

/// Refuses to drain the only online gateway of a pool. The tenant is locked, so the second of two drains sees the first.
async fn refuse_last(tx: &Tx, scope: TenantScope, leaving: &GatewayRow) -> Result<()> {
    let now = tx.now();
    if state::of(leaving, now) != State::Online {
        return Ok(());
    }
    let of_pool = tx.tenant(scope).gateways().of_pool(leaving.pool_id).await?;
    if of_pool.iter().any(|other| other.id != leaving.id && state::of(other, now) == State::Online) {
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

fn not_found() -> Error {
    Error::not_found(Reason::GatewayNotFound, "gateway not found")
}
