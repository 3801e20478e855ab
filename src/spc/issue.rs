//! The issue of a certificate.

use std::sync::Arc;

use serde_json::json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{
    claims::{Claims, TYP},
    device::{self, Policies, may_use},
    rules::{self, Checked, MAX_POOLS, NewSpc, invalid, strictness},
};
use crate::{
    base::{
        Cx, Error, IdKind, Result, TenantId, TenantRef, TrustDomain,
        error::{LimitReached, Reason},
    },
    policy::{
        document::words::{AuthMode, OnFail, Word},
        resolve::Resolved,
    },
    store::{
        Change, ChangeKind, Db, Resource, Stamp, Store, Tx,
        columns::{Json, KeyUse},
        tables::{DeviceRow, PolicyRow, SpcRow, TenantRows},
    },
    tenants,
    trust::{ArtifactKey, Trust, require_active, sign_jws},
};

/// Maximum length of a certificate, which gateways check.
const MAX_LENGTH: usize = 16 << 10;
/// Maximum number of valid certificates of a device. A device that asks in a loop must not fill the list of revocations, which all gateways
/// have, so its oldest certificate is not revoked for a new one.
const MOST: u64 = 64;

/// A new certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    pub row: SpcRow,
    /// Its claims, signed: a compact JWS.
    pub signed: String,
}

struct Input {
    tenant: TenantRef,
    new: Checked,
    key: Arc<ArtifactKey>,
    domain: TrustDomain,
}

/// What a certificate grants.
struct Grant {
    policy: PolicyRow,
    ends: Stamp,
    min_auth_mode: AuthMode,
    pools: Vec<Uuid>,
    groups: Vec<Uuid>,
}

/// Issues a certificate for a device. Fails with INVALID_ARGUMENT for an invalid member, for a pool that the device may not use and for a
/// version that its policy does not come from; with NOT_FOUND if there is no such device or version, or no stable policy for the device;
/// with FAILED_PRECONDITION if the device is not active, has as many valid certificates as it may, or its policy has expired; with PERMISSION_DENIED for another device than the one
/// that calls, and if the policy demands a known posture.
pub async fn issue(cx: &Cx, store: &Store, trust: &Trust, tenant: &TenantRef, new: NewSpc) -> Result<Issued> {
    let new = rules::check(cx.caller.basis, new)?;
    let scope = tenants::reach(cx, store, tenant).await?;
    trust.latest_anchors(scope).await?;
    let sign = || async {
        let key = trust.signing_key(scope, KeyUse::SpcSigning).await?;
        let input = Input { tenant: tenant.clone(), new: new.clone(), key, domain: trust.domain().clone() };
        store.write(cx, input, issue_in).await
    };
    trust.with_current_keys(sign).await
}

async fn issue_in(tx: &Tx, input: &Input) -> Result<Issued> {
    // Locked: what the certificate depends on does not change until it is stored, where a revocation finds it.
    let (tenant, scope) = tenants::resolve_locked(tx, &input.tenant).await?;
    let (rows, new) = (tx.tenant(scope), &input.new);
    let device = rows.devices().get_locked(new.device).await?.ok_or_else(rules::device_not_found)?;
    require_active(tx, scope, KeyUse::SpcSigning, input.key.id()).await?;
    if !tenant.status.admits() {
        return Err(inactive("the tenant is not active"));
    }
    if !device::is_active(tx.conn(), scope, &device).await? {
        return Err(inactive("the device is not active"));
    }
    let now = tx.now().replace_nanosecond(0).map_err(Error::internal)?;
    let epoch = rows.spc_states().epoch().await?;
    let used = rows.spcs().valid_of_device(device.id, epoch, now.into()).await?;
    if used >= MOST {
        let message =
            format!("the device has {MOST} valid certificates; use one of them, or revoke those that are not used");
        let limit = LimitReached { resource: "spcs_per_device", limit: MOST, used };
        return Err(Error::limit_reached(Reason::SpcLimitReached, message, limit));
    }
    let thumbprint = proven_key(&rows, &device, new.credential, now).await?;
    let grant = grant(&rows, &device, new, now).await?;
    let ends = grant.ends.time().replace_nanosecond(0).map_err(Error::internal)?;
    let not_after = (now + Duration::seconds(new.ttl_seconds)).min(ends);
    let id = tx.new_id();
    let row = SpcRow {
        tenant_id: scope.into(),
        id,
        serial: id.as_simple().to_string(),
        device_id: device.id,
        thumbprint,
        key_id: input.key.id().to_owned(),
        policy_version: grant.policy.version,
        policy_digest: grant.policy.digest,
        pool_ids: Json(grant.pools),
        group_ids: Json(grant.groups),
        min_auth_mode: grant.min_auth_mode.as_str().to_owned(),
        epoch,
        not_before: now.into(),
        not_after: not_after.into(),
        revoked_at: None,
        revoked_in: None,
        revocation_reason: None,
    };
    let claims = Claims::of(&row, scope.tenant(), &input.domain);
    let signed = sign_jws(TYP, &claims, &input.key)?;
    if signed.len() > MAX_LENGTH {
        let message = "the certificate would be too long: the device is in too many groups";
        return Err(Error::precondition(Reason::SpcTooLarge, message));
    }
    rows.spcs().insert(row.clone()).await?;
    record(tx, scope.tenant(), &row, &claims);
    Ok(Issued { row, signed })
}

/// The key that a device proves: that of the credential that it calls with, or of its newest one.
async fn proven_key(
    rows: &TenantRows<'_, impl Db>,
    device: &DeviceRow,
    credential: Option<Uuid>,
    now: OffsetDateTime,
) -> Result<String> {
    let credential = match credential {
        Some(id) => rows.credentials().get(id).await?,
        None => rows.credentials().latest(device.id).await?,
    };
    let valid = credential.filter(|row| row.revoked_at.is_none() && Stamp::from(now) < row.not_after);
    let none = || inactive("the device has no valid credential; it must enroll again");
    valid.map(|row| row.thumbprint).ok_or_else(none)
}

async fn grant(
    rows: &TenantRows<'_, impl Db>,
    device: &DeviceRow,
    new: &Checked,
    now: OffsetDateTime,
) -> Result<Grant> {
    let policies = Policies::of(rows, device, now.into()).await?;
    let none = || Error::not_found(Reason::PolicyVersionNotFound, "no stable policy is published for the device");
    let (current, stable) = (policies.current().ok_or_else(none)?, policies.stable().ok_or_else(none)?);
    let policy = policy(rows, &stable, new.policy_version).await?;
    let ends = current.expires_at().min(stable.expires_at()).ok_or_else(none)?;
    if ends <= Stamp::from(now) {
        let message = "the policy of the device has expired; publish it again";
        return Err(Error::precondition(Reason::PolicyExpired, message));
    }
    refuse_unknown_posture(&current)?;
    let groups = policies.subject.groups.clone();
    Ok(Grant {
        min_auth_mode: min_auth_mode([&current, &stable], new.min_auth_mode)?,
        pools: pools(rows, &current, &groups, new).await?,
        policy,
        ends,
        groups,
    })
}

/// The version that a certificate is for: a stable one that the policy of the device comes from.
async fn policy(rows: &TenantRows<'_, impl Db>, stable: &Resolved<'_>, wanted: Option<i64>) -> Result<PolicyRow> {
    let source = match wanted {
        None => stable.sources.last(),
        Some(version) => stable.sources.iter().find(|source| source.version == version),
    };
    let version = source.map(|source| source.version).or(wanted);
    let row = match version {
        Some(version) => rows.policies().version(version).await?,
        None => None,
    };
    let row = row.ok_or_else(|| Error::not_found(Reason::PolicyVersionNotFound, "policy version not found"))?;
    if source.is_none() {
        return Err(invalid("policy_version", "the policy of the device does not come from this version"));
    }
    Ok(row)
}

/// The posture of a device is unknown, and what is unknown does not comply.
fn refuse_unknown_posture(current: &Resolved<'_>) -> Result<()> {
    let posture = current.document.posture.as_ref();
    if posture.is_some_and(|posture| !posture.required.is_empty() && posture.on_fail == OnFail::Block) {
        let message = "the policy demands a device that complies, and the posture of this one is unknown";
        return Err(Error::denied(Reason::PostureRequired, message));
    }
    Ok(())
}

/// The stricter mode of the policies, or a stricter one that was asked for.
fn min_auth_mode(policies: [&Resolved<'_>; 2], wanted: Option<AuthMode>) -> Result<AuthMode> {
    let modes = policies.iter().filter_map(|policy| policy.document.min_auth_mode);
    let least = modes.max_by_key(|mode| strictness(*mode)).unwrap_or(AuthMode::Certificate);
    match wanted {
        Some(wanted) if strictness(wanted) < strictness(least) => {
            let message = format!("the policy of the device demands at least mode {}", least.as_str());
            Err(Error::invalid(Reason::InvalidArgument, "scopes.min_auth_mode", message))
        }
        wanted => Ok(wanted.unwrap_or(least)),
    }
}

/// The pools of a certificate: those that the device may use and, if the request names some, are in each of its lists.
async fn pools(
    rows: &TenantRows<'_, impl Db>,
    current: &Resolved<'_>,
    groups: &[Uuid],
    new: &Checked,
) -> Result<Vec<Uuid>> {
    let all = rows.gateway_pools().all().await?;
    let may_use = |id: Uuid| all.iter().any(|pool| pool.id == id && may_use(pool, &current.document, groups));
    let lists = [("scopes.pools", &new.pools), ("audience", &new.audience)].into_iter();
    let lists: Vec<_> = lists.filter(|(_, list)| !list.is_empty()).collect();
    for (field, list) in &lists {
        if let Some((at, id)) = list.iter().enumerate().find(|(_, id)| !may_use(**id)) {
            let field = format!("{field}[{at}]");
            return Err(match all.iter().any(|pool| pool.id == *id) {
                true => Error::invalid(Reason::SpcPoolNotAllowed, &field, "the device may not use this gateway pool"),
                false => Error::invalid(Reason::GatewayPoolNotFound, &field, "gateway pool not found"),
            });
        }
    }
    let allowed: Vec<_> = all.iter().map(|pool| pool.id).filter(|id| may_use(*id)).collect();
    if allowed.is_empty() {
        let message = "the device may not use any gateway pool";
        return Err(Error::precondition(Reason::SpcPoolNotAllowed, message));
    }
    let named: Vec<_> = allowed.into_iter().filter(|id| lists.iter().all(|(_, list)| list.contains(id))).collect();
    match named.len() {
        0 => Err(invalid("audience", "scopes.pools and audience have no gateway pool in common")),
        1..=MAX_POOLS => Ok(named),
        _ => Err(invalid("audience", "the device may use more than 64 gateway pools; name at most 64")),
    }
}

fn inactive(message: &'static str) -> Error {
    Error::precondition(Reason::SpcSubjectInactive, message)
}

fn record(tx: &Tx, tenant: TenantId, row: &SpcRow, claims: &Claims) {
    let change = Change::new(Resource::Spc, ChangeKind::Created, claims.jti.clone()).within(tenant);
    let details = json!({
        "device_id": IdKind::Device.show(row.device_id), "serial": row.serial, "key_id": row.key_id,
        "key_thumbprint": row.thumbprint, "audience": claims.aud, "policy_version": row.policy_version,
        "seconds": claims.exp - claims.nbf,
    });
    tx.changed(change, claims.jti.clone(), details);
}
