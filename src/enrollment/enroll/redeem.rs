//! The write of an enrollment: uses the token, and records what it enrolled.

use std::collections::BTreeMap;

use serde_json::json;
use uuid::Uuid;

use super::{Certificate, Enrolled, again, certificate, found, invalid_token, rules::Subject};
use crate::{
    base::{EnrolledKind, Error, IdKind, Result, TenantRef, TenantScope, error::Reason, public_key::PublicKey},
    entitlements,
    identity::accounts,
    store::{
        Change, ChangeKind, Stamp, Store, Tx,
        columns::{DeviceStatus, EnrolledVia, GatewayStatus, Json},
        insert_rows,
        tables::{DeviceRow, EnrollmentTokenRow, GatewayRow, TokenState, enrolled_keys, may_have_devices},
    },
    tenants,
    trust::require_issuer,
};

/// What a token is redeemed for.
#[derive(Clone, Debug)]
pub(super) struct Redeemed {
    pub(super) token: Uuid,
    pub(super) scope: TenantScope,
    /// The id of the device or gateway.
    pub(super) id: Uuid,
    pub(super) subject: Subject,
    pub(super) key: PublicKey,
    /// The field of the request with the key.
    pub(super) key_field: &'static str,
    pub(super) certificate: Certificate,
}

pub(super) async fn redeem(tx: &Tx, redeemed: &Redeemed) -> Result<Enrolled> {
    // Locked, so that concurrent enrollments count each other.
    let tenant = TenantRef::Id(redeemed.scope.tenant());
    let (tenant, scope) = found(tenants::resolve_locked(tx, &tenant).await)?;
    if !tenant.status.admits() {
        return Err(invalid_token());
    }
    // It may have been used up, revoked or expired since it was read.
    let used = tx.tenant(scope).enrollment_tokens().use_once(redeemed.token, tx.now().into()).await?;
    let token = used.ok_or_else(invalid_token)?;
    let enrolled = match &redeemed.subject {
        Subject::Device { .. } => Enrolled::Device(device(tx, scope, &token, redeemed).await?),
        Subject::Gateway { .. } => Enrolled::Gateway(gateway(tx, scope, &token, redeemed).await?),
    };
    enroll_key(tx, &redeemed.key, redeemed.key_field).await?;
    // An authority that was revoked in this moment issues nothing more.
    require_issuer(tx, &redeemed.certificate.issuer_key_id).await?;
    let of = certificate::Issued { scope, kind: redeemed.subject.kind(), subject: redeemed.id, token: Some(token.id) };
    let row = certificate::row(tx, of, &redeemed.key, &redeemed.certificate);
    tx.tenant(scope).credentials().insert(row).await?;
    record(tx, scope, &token, redeemed, &enrolled);
    Ok(enrolled)
}

async fn device(tx: &Tx, scope: TenantScope, token: &EnrollmentTokenRow, redeemed: &Redeemed) -> Result<DeviceRow> {
    let Subject::Device { name, platform, os_version, client_version, hardware_id_hash } = &redeemed.subject else {
        return Err(Error::internal("a gateway is not a device"));
    };
    if let Some(account) = token.account_id {
        let account = accounts::find(tx.conn(), Some(scope), &IdKind::User.show(account)).await?;
        account.filter(|account| may_have_devices(account.status)).ok_or_else(invalid_token)?;
    }
    if let Some(id) = token.device_id {
        return again::device(tx, scope, id, &redeemed.subject, address(tx)).await;
    }
    entitlements::require_device(tx, scope, token.account_id).await?;
    let now = Stamp::from(tx.now());
    let row = DeviceRow {
        tenant_id: scope.into(),
        id: redeemed.id,
        account_id: token.account_id,
        name: name.clone(),
        name_key: String::new(),
        platform: *platform,
        os_version: os_version.clone(),
        client_version: client_version.clone(),
        hardware_id_hash: hardware_id_hash.clone(),
        status: if token.pre_approved { DeviceStatus::Active } else { DeviceStatus::PendingApproval },
        suspended_with_user: false,
        enrolled_via: EnrolledVia::Token,
        token_id: Some(token.id),
        group_ids: token.group_ids.clone(),
        ephemeral: token.ephemeral,
        labels: Json(BTreeMap::new()),
        last_seen_at: Some(now),
        last_ip: address(tx),
        policy_floor: 0,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    tx.tenant(scope).devices().insert(row.clone()).await?;
    Ok(row)
}

async fn gateway(tx: &Tx, scope: TenantScope, token: &EnrollmentTokenRow, redeemed: &Redeemed) -> Result<GatewayRow> {
    let Subject::Gateway { name, region, endpoints, version } = &redeemed.subject else {
        return Err(Error::internal("a device is not a gateway"));
    };
    let pool_id = token.pool_id.ok_or_else(invalid_token)?;
    let pool = tx.tenant(scope).gateway_pools().get(pool_id).await?.ok_or_else(invalid_token)?;
    entitlements::require_gateway(tx, scope).await?;
    let now = Stamp::from(tx.now());
    let row = GatewayRow {
        tenant_id: scope.into(),
        id: redeemed.id,
        pool_id,
        name: name.clone(),
        region: if region.is_empty() { pool.region } else { region.clone() },
        endpoints: Json(endpoints.clone()),
        gateway_version: version.clone(),
        status: GatewayStatus::Active,
        drain_deadline: None,
        token_id: Some(token.id),
        // Its first heartbeat makes it online.
        last_seen_at: None,
        last_ip: address(tx),
        version: 1,
        created_at: now,
        updated_at: now,
    };
    tx.tenant(scope).gateways().insert(row.clone()).await?;
    Ok(row)
}

fn record(tx: &Tx, scope: TenantScope, token: &EnrollmentTokenRow, redeemed: &Redeemed, enrolled: &Enrolled) {
    let tenant = scope.tenant();
    let (change, said) = match enrolled {
        Enrolled::Device(device) => (
            Change::of_device(enrollment(device.version), tenant, device),
            json!({
                "name": device.name, "platform": device.platform.as_str(), "os_version": device.os_version,
                "client_version": device.client_version, "hardware_id_hash": device.hardware_id_hash,
            }),
        ),
        Enrolled::Gateway(gateway) => (
            Change::of_gateway(enrollment(gateway.version), tenant, gateway),
            json!({
                "name": gateway.name, "region": gateway.region, "endpoints": *gateway.endpoints,
                "version": gateway.gateway_version,
            }),
        ),
    };
    let id = enrolled.shown_id();
    let details = json!({
        "said": said, "token_id": IdKind::EnrollmentToken.show(token.id), "serial": redeemed.certificate.serial,
        "key_thumbprint": redeemed.key.thumbprint(), "pre_approved": token.pre_approved,
    });
    tx.changed(change, id, details);
}

/// The first version is that of a new device or gateway.
fn enrollment(version: i64) -> ChangeKind {
    if version == 1 { ChangeKind::Created } else { ChangeKind::Updated }
}

fn address(tx: &Tx) -> Option<String> {
    tx.cx().client.map(|address| address.to_string())
}

/// Notes that a key is enrolled. Fails with INVALID_ARGUMENT on this field if it was before.
pub(super) async fn enroll_key(tx: &Tx, key: &PublicKey, field: &str) -> Result<()> {
    let row = enrolled_keys::Model { thumbprint: key.thumbprint().to_owned(), created_at: tx.now().into() };
    let inserted = insert_rows::<enrolled_keys::Entity>(tx.conn(), vec![row]).await;
    inserted.map_err(Error::from).map_err(|error| reused(error, field))?;
    Ok(())
}

/// A key that was enrolled before is a fault of the request.
fn reused(error: Error, field: &str) -> Error {
    if error.reason == Reason::EnrolledKeyReused {
        let message = "this key was enrolled before; generate a new key";
        return Error::invalid(Reason::EnrolledKeyReused, field, message);
    }
    error
}

/// The token as it is stored, if it can be used now for this kind.
pub(super) async fn active(store: &Store, digest: &str, kind: EnrolledKind) -> Result<Option<EnrollmentTokenRow>> {
    let now = Stamp::from(store.clock().now());
    let token = store.enrollment_token_by_digest(digest).await?;
    Ok(token.filter(|token| token.kind.enrolled() == Some(kind) && token.state(now) == TokenState::Active))
}
