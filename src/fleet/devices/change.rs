//! Changes of one device.

use serde_json::{Value, json};

use super::{
    Device, DeviceRef,
    rules::{self, Action},
};
use crate::{
    base::{Cx, Error, IdKind, Kind, Result, Secret, TenantScope, error::Reason},
    enrollment::tokens::{self, NewSecret},
    identity::reason as checked_reason,
    store::{
        Change, ChangeKind, Stamp, Store, Tx,
        columns::{DeviceStatus, EndReason, RevocationReason},
        tables::{DeviceRow, SessionsAt},
    },
    tenants,
};

/// A device after a change.
#[derive(Clone, Debug)]
pub struct Changed {
    pub device: Device,
    /// Number of its sessions that were ended.
    pub sessions: u64,
    /// The token with which it enrolls again, which is not stored.
    pub token: Option<Secret<String>>,
}

/// Does something to a device. Fails with INVALID_ARGUMENT for an invalid name or reason, with NOT_FOUND if there is no such
/// device, with ABORTED if the version differs, with FAILED_PRECONDITION if the state of the device or of its user does not
/// permit the action.
pub async fn change(
    cx: &Cx,
    store: &Store,
    device: &DeviceRef,
    action: Action,
    reason: Option<String>,
) -> Result<Changed> {
    let action = action.checked()?;
    let reason = checked_reason(reason)?;
    one(cx, store, device, &action, reason.as_deref()).await
}

/// As [`change`], with an action and a reason that are valid.
pub(super) async fn one(
    cx: &Cx,
    store: &Store,
    device: &DeviceRef,
    action: &Action,
    reason: Option<&str>,
) -> Result<Changed> {
    let token = action.generates_token().then(NewSecret::generate);
    let stored = token.as_ref().map(NewSecret::stored);
    let input = (device.clone(), action.clone(), reason.map(str::to_owned), stored);
    let (device, sessions) = store.write(cx, input, change_in).await?;
    Ok(Changed { device, sessions, token: token.map(NewSecret::into_text) })
}

type Input = (DeviceRef, Action, Option<String>, Option<tokens::Stored>);

async fn change_in(tx: &Tx, (device, action, reason, token): &Input) -> Result<(Device, u64)> {
    let (scope, before) = locked(tx, device).await?;
    let after = rules::after(&before, action)?;
    rules::refuse_access(tx.conn(), &tx.tenant(scope), scope, &before, action).await?;
    let row = put(tx, scope, &before, after, action).await?;
    let mut details = details(&before, &row, action, reason.as_deref());
    if let Some(stored) = token {
        details["token_id"] = tokens::insert_for_device(tx, scope, &row, stored).await?.shown_id().into();
    }
    let rows = tx.tenant(scope);
    if *action == Action::ForceReauth {
        rows.credentials().revoke(row.id, tx.now().into()).await?;
        tx.revoke_spcs_of(scope, [row.id], RevocationReason::Superseded).await?;
    }
    if row.status == DeviceStatus::Suspended {
        tx.revoke_spcs_of(scope, [row.id], RevocationReason::PrivilegeWithdrawn).await?;
    }
    let sessions = end_sessions(tx, scope, &row, action).await?;
    if sessions > 0 {
        details["sessions"] = sessions.into();
    }
    record(tx, scope, &before, &row, details);
    let credential = rows.credentials().latest(row.id).await?;
    let report = rows.policy_reports().get(row.id).await?;
    Ok((Device { tenant: scope.tenant(), row, credential, report }, sessions))
}

/// Ends the sessions of a device that has no access after an action. Returns their number.
async fn end_sessions(tx: &Tx, scope: TenantScope, row: &DeviceRow, action: &Action) -> Result<u64> {
    let reason = match (row.status, action) {
        (DeviceStatus::Revoked, _) => return tx.end_enrollments(scope, &[row.id]).await,
        (DeviceStatus::Suspended, _) => EndReason::DeviceSuspended,
        (_, Action::ForceReauth) => EndReason::ReauthForced,
        _ => return Ok(0),
    };
    tx.end_access_sessions(scope, SessionsAt::Devices(&[row.id]), reason).await
}

/// Loads and locks the device of a call.
async fn locked(tx: &Tx, device: &DeviceRef) -> Result<(TenantScope, DeviceRow)> {
    let (_, scope) = tenants::resolve_locked(tx, &device.tenant).await?;
    let id = IdKind::Device.read(&device.id).ok_or_else(rules::not_found)?;
    let row = tx.tenant(scope).devices().get_locked(id).await?.ok_or_else(rules::not_found)?;
    if device.version.is_some_and(|version| version != row.version) {
        let message = "the device was changed in the meantime; read it again";
        return Err(Error::new(Kind::Aborted, Reason::VersionStale, message));
    }
    Ok((scope, row))
}

/// Stores a device as its next version, if it changed, or gets a token.
async fn put(tx: &Tx, scope: TenantScope, before: &DeviceRow, after: DeviceRow, action: &Action) -> Result<DeviceRow> {
    if after == *before && !action.generates_token() {
        return Ok(after);
    }
    let row = DeviceRow { version: before.version + 1, updated_at: Stamp::from(tx.now()), ..after };
    tx.tenant(scope).devices().update(&row).await?;
    Ok(row)
}

fn details(before: &DeviceRow, after: &DeviceRow, action: &Action, reason: Option<&str>) -> Value {
    match action {
        Action::Rename(name) => json!({"before": {"name": before.name}, "after": {"name": name}}),
        _ => json!({
            "name": after.name, "reason": reason,
            "before": {"status": before.status.as_str()}, "after": {"status": after.status.as_str()},
        }),
    }
}

fn record(tx: &Tx, scope: TenantScope, before: &DeviceRow, after: &DeviceRow, details: Value) {
    let target = IdKind::Device.show(after.id);
    if before.version == after.version {
        return tx.audit_only(Some(scope.tenant()), target, details);
    }
    let kind = if after.status == DeviceStatus::Revoked { ChangeKind::Revoked } else { ChangeKind::Updated };
    tx.changed(Change::of_device(kind, scope.tenant(), after), target, details);
}
