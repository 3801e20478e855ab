//! The registration of a host.

use serde_json::json;
use uuid::Uuid;

use super::{
    Host,
    rules::{self, Description},
};
use crate::{
    base::{
        Access, Caller, CallerKind, Cx, Error, IdKind, Kind, Result, Secret, TenantId, TenantRef, TenantScope,
        caller::CallerFacts, cx::CxFacts, error::Reason, opaque,
    },
    enrollment::{as_token::as_token, throttle::Throttle},
    entitlements,
    store::{
        ChangeKind, Stamp, Store, Tx,
        columns::Json,
        tables::{HostRow, TokenState},
    },
    tenants,
};

/// The beginning of the token of every host.
const BEGIN: &str = "smh_";

/// A request to register.
#[derive(Clone, Debug)]
pub struct Registration {
    pub host: Description,
    pub enrollment_token: Option<Secret<String>>,
    /// The token that an earlier registration returned. If it is valid, the other one is not used.
    pub host_token: Option<Secret<String>>,
}

/// A host that was registered.
#[derive(Clone, Debug)]
pub struct Registered {
    pub host: Host,
    /// The token of the host, which is not stored.
    pub token: Secret<String>,
}

/// What entitles a host to register.
#[derive(Clone, Debug)]
enum Entitled {
    /// An enrollment token. The host gets a token with this digest.
    Token { id: Uuid, digest: String },
    /// Its own token, with this digest.
    Host { id: Uuid, digest: String },
}

/// A registration with a token that was found.
struct Registering {
    tenant: TenantId,
    entitled: Entitled,
    host: Description,
}

/// Registers a host in the tenant of its token, or again. Fails with INVALID_ARGUMENT for what the agent sent, whatever its tokens are; with
/// PERMISSION_DENIED and one text for every token that cannot be used, and without one; with RESOURCE_EXHAUSTED if the tenant may
/// have no further host, and as the throttle does; with ALREADY_EXISTS if the host changes its fqdn to that of another one.
pub async fn register(cx: &Cx, store: &Store, throttle: &Throttle, registration: Registration) -> Result<Registered> {
    let Registration { host, enrollment_token, host_token } = registration;
    let host = rules::check(host)?;
    throttle.attempt(cx, || use_tokens(cx, store, host, enrollment_token, host_token)).await
}

async fn use_tokens(
    cx: &Cx,
    store: &Store,
    host: Description,
    enrollment_token: Option<Secret<String>>,
    host_token: Option<Secret<String>>,
) -> Result<Registered> {
    if let Some(token) = host_token {
        let digest = opaque::digest(token.expose());
        if let Some(known) = store.host_by_digest(&digest).await? {
            let tenant = known.tenant_id.tenant();
            let registering = Registering { tenant, entitled: Entitled::Host { id: known.id, digest }, host };
            let host = store.write(&as_host(cx, &known), registering, write).await?;
            return Ok(Registered { host, token });
        }
    }
    // Without a token as with a wrong one.
    let digest = opaque::digest(enrollment_token.as_ref().map_or("", |token| token.expose()));
    let found = store.usable_host_token(&digest, store.clock().now().into()).await?.ok_or_else(refused)?;
    let token = opaque::secret(BEGIN);
    let registering = Registering {
        tenant: found.tenant_id.tenant(),
        entitled: Entitled::Token { id: found.id, digest: opaque::digest(token.expose()) },
        host,
    };
    let host = store.write(&as_token(cx, &found), registering, write).await?;
    Ok(Registered { host, token })
}

/// The context of a call that has the token of a host: it acts for the host, in its tenant.
fn as_host(cx: &Cx, host: &HostRow) -> Cx {
    let tenant = TenantRef::Id(host.tenant_id.tenant());
    let subject = format!("host:{}", host.id);
    let caller = Caller::new(CallerFacts { kind: CallerKind::Agent, subject, ..CallerFacts::default() });
    Cx::new(CxFacts { caller, access: Access::Tenant(tenant), ..CxFacts::clone(cx) })
}

async fn write(tx: &Tx, registering: &Registering) -> Result<Host> {
    // Locked, so that concurrent registrations count each other.
    let found = tenants::resolve_locked(tx, &TenantRef::Id(registering.tenant)).await;
    let (tenant, scope) = found.map_err(|error| if error.kind == Kind::NotFound { refused() } else { error })?;
    if !tenant.status.admits() {
        return Err(refused());
    }
    match &registering.entitled {
        Entitled::Token { id, digest } => with_token(tx, scope, *id, digest, &registering.host).await,
        Entitled::Host { id, digest } => again(tx, scope, *id, digest, &registering.host).await,
    }
}

/// Registers a host with an enrollment token, which it uses once unless the tenant knows the host.
async fn with_token(tx: &Tx, scope: TenantScope, token: Uuid, digest: &str, said: &Description) -> Result<Host> {
    let (rows, now) = (tx.tenant(scope), Stamp::from(tx.now()));
    let tokens = rows.enrollment_tokens();
    // The token may have been used up, revoked or expired since it was read.
    let known = rows.hosts().named(&said.fqdn).await?;
    let (kind, row) = match known {
        Some(known) => {
            let token = tokens.get_locked(token).await?.filter(|token| token.state(now) == TokenState::Active);
            let token_id = token.ok_or_else(refused)?.id;
            let row = HostRow { secret_hash: digest.to_owned(), token_id, ..described(tx, known, said, now) };
            let row = HostRow { version: row.version + 1, updated_at: now, ..row };
            rows.hosts().update(&row).await?;
            (ChangeKind::Updated, row)
        }
        None => {
            let token_id = tokens.use_once(token, now).await?.ok_or_else(refused)?.id;
            entitlements::require_host(tx, scope).await?;
            let row = new(tx, scope, (token_id, digest), said, now);
            rows.hosts().insert(row.clone()).await?;
            (ChangeKind::Created, row)
        }
    };
    let host = Host { tenant: scope.tenant(), row };
    let details = json!({"said": details(&host.row), "token_id": IdKind::EnrollmentToken.show(token)});
    tx.changed(host.change(kind), host.row.id.to_string(), details);
    Ok(host)
}

/// Registers a host again, with its own token.
async fn again(tx: &Tx, scope: TenantScope, id: Uuid, digest: &str, said: &Description) -> Result<Host> {
    let (hosts, now) = (tx.tenant(scope).hosts(), Stamp::from(tx.now()));
    // It may have been removed, or have got another token.
    let before = hosts.get(id).await?.filter(|host| host.secret_hash == digest).ok_or_else(refused)?;
    let row = described(tx, before.clone(), said, now);
    let unchanged = HostRow { last_ip: row.last_ip.clone(), last_registered_at: now, ..before };
    let is_changed = row != unchanged;
    let row = match is_changed {
        true => HostRow { version: row.version + 1, updated_at: now, ..row },
        false => row,
    };
    hosts.update(&row).await?;
    let host = Host { tenant: scope.tenant(), row };
    let details = json!({"said": details(&host.row)});
    match is_changed {
        true => tx.changed(host.change(ChangeKind::Updated), id.to_string(), details),
        false => tx.audit_only(Some(host.tenant), id.to_string(), details),
    }
    Ok(host)
}

/// A new host, by the enrollment token, with the digest of its own.
fn new(tx: &Tx, scope: TenantScope, (token, digest): (Uuid, &str), said: &Description, now: Stamp) -> HostRow {
    let empty = HostRow {
        tenant_id: scope.into(),
        id: tx.new_id(),
        fqdn: String::new(),
        hostname: String::new(),
        ipv4: None,
        ipv6: None,
        active: false,
        script_execution_enabled: false,
        is_privileged: false,
        enabled_shells: Json(Vec::new()),
        agent_version: String::new(),
        agent_capabilities: Json(serde_json::Value::Null),
        secret_hash: digest.to_owned(),
        token_id: token,
        last_ip: None,
        last_registered_at: now,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    described(tx, empty, said, now)
}

/// A host as its agent describes it now. What the agent leaves out stays as it was.
fn described(tx: &Tx, before: HostRow, said: &Description, now: Stamp) -> HostRow {
    let shells = Some(said.enabled_shells.clone()).filter(|shells| !shells.is_empty());
    HostRow {
        fqdn: said.fqdn.clone(),
        hostname: said.hostname.clone(),
        ipv4: said.ipv4.clone().or(before.ipv4),
        ipv6: said.ipv6.clone().or(before.ipv6),
        active: said.active,
        script_execution_enabled: said.script_execution_enabled.unwrap_or(before.script_execution_enabled),
        is_privileged: said.is_privileged.unwrap_or(before.is_privileged),
        enabled_shells: shells.map_or(before.enabled_shells, Json),
        agent_version: said.agent_version.clone().unwrap_or(before.agent_version),
        agent_capabilities: said.agent_capabilities.clone().map_or(before.agent_capabilities, Json),
        last_ip: tx.cx().client.map(|address| address.to_string()),
        last_registered_at: now,
        ..before
    }
}

/// What the audit log has of a host.
fn details(host: &HostRow) -> serde_json::Value {
    json!({
        "fqdn": host.fqdn, "hostname": host.hostname, "ipv4": host.ipv4, "ipv6": host.ipv6, "active": host.active,
        "script_execution_enabled": host.script_execution_enabled, "is_privileged": host.is_privileged,
        "agent_version": host.agent_version,
    })
}

/// The error for every token that cannot be used, in the documented words.
fn refused() -> Error {
    Error::denied(Reason::EnrollmentTokenInvalid, "Invalid or expired enrollment token")
}
