//! Revocation of tokens, and of the devices that they enrolled.

use serde_json::json;
use uuid::Uuid;

use super::{EnrollmentToken, is_reached, not_found, rules};
use crate::{
    base::{Cx, EnrolledKind, Error, IdKind, Kind, Reach, Result, TenantRef, error::Reason},
    store::{ChangeKind, Stamp, Store, Tx, tables::EnrollmentTokenRow},
    tenants,
};

/// Maximum number of devices that are revoked in one transaction.
const BATCH: u64 = 500;

/// How a token is revoked.
#[derive(Clone, Debug, Default)]
pub struct Revocation {
    /// The public id of the token.
    pub id: String,
    /// Why, for the audit log.
    pub reason: Option<String>,
    /// Whether the devices that it enrolled are revoked, too.
    pub devices: bool,
    /// The expected version, if the call must fail on another one.
    pub version: Option<i64>,
}

/// A valid [`Revocation`].
type Input = (TenantRef, Uuid, Revocation, Reach);

/// Revokes a token for devices or gateways, unless it is revoked already, and returns it with the number of devices that were revoked with it. Fails with
/// INVALID_ARGUMENT for a reason that is too long and for the devices of a token for gateways, with PERMISSION_DENIED for devices and
/// [`Reach::Own`], with NOT_FOUND as [`get`](super::get) does, with ABORTED if the version differs.
pub async fn revoke(
    cx: &Cx,
    store: &Store,
    tenant: &TenantRef,
    revocation: Revocation,
    reach: Reach,
) -> Result<(EnrollmentToken, u64)> {
    if revocation.devices && reach == Reach::Own {
        let message = "revoking devices needs the right to manage enrollment tokens";
        return Err(Error::denied(Reason::PermissionDenied, message));
    }
    let id = IdKind::EnrollmentToken.read(&revocation.id).ok_or_else(not_found)?;
    let reason = rules::reason(revocation.reason.clone())?;
    let mut input: Input = (tenant.clone(), id, Revocation { reason, ..revocation }, reach);
    let (token, mut devices) = store.write(cx, input.clone(), revoke_in).await?;
    let mut last = devices;
    while last == BATCH {
        // The version was that of the first write.
        input.2.version = None;
        (_, last) = store.write(cx, input.clone(), revoke_in).await?;
        devices += last;
    }
    Ok((token, devices))
}

async fn revoke_in(tx: &Tx, (tenant, id, revocation, reach): &Input) -> Result<(EnrollmentToken, u64)> {
    let (_, scope) = tenants::resolve_locked(tx, tenant).await?;
    let rows = tx.tenant(scope).enrollment_tokens();
    let row = rows.get_locked(*id).await?.filter(|row| is_reached(tx.cx(), *reach, row)).ok_or_else(not_found)?;
    refuse(revocation, &row)?;
    let devices = match revocation.devices {
        true => tx.revoke_devices_enrolled(scope, row.id, BATCH).await?,
        false => 0,
    };
    let now = Stamp::from(tx.now());
    let before = row.revoked_at;
    let token =
        EnrollmentToken { tenant: scope.tenant(), row: EnrollmentTokenRow { revoked_at: before.or(Some(now)), ..row } };
    let details = json!({"name": token.row.name, "reason": revocation.reason, "devices": devices});
    if before.is_some() {
        tx.audit_only(Some(scope.tenant()), token.shown_id(), details);
        return Ok((token, devices));
    }
    rows.revoke(*id, now).await?;
    tx.changed(token.change(ChangeKind::Revoked), token.shown_id(), details);
    Ok((token, devices))
}

fn refuse(revocation: &Revocation, row: &EnrollmentTokenRow) -> Result<()> {
    if revocation.version.is_some_and(|version| version != row.version()) {
        let message = "the enrollment token was changed in the meantime; read it again";
        return Err(Error::new(Kind::Aborted, Reason::VersionStale, message));
    }
    if revocation.devices && row.kind.enrolled() == Some(EnrolledKind::Gateway) {
        let message = "a token for gateways has no devices; revoke the gateways";
        return Err(Error::invalid(Reason::InvalidArgument, "revoke_devices", message));
    }
    Ok(())
}
