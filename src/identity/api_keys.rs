//! API keys: credentials of programs in one tenant, which outlive the account that created them (zero-trust
//! contract, section 4.14).

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{accounts::display_name, users::ceiling};
use crate::{
    base::{
        Basis, Cx, Error, IdKind, Page, PageRequest, Result, Role, Secret, TenantId, TenantRef, TenantScope,
        error::Reason, network, opaque,
    },
    entitlements,
    store::{Change, ChangeKind, Resource, Revocation, Stamp, Store, Tx, columns::Json, tables::ApiKeyRow},
    tenants,
};

/// The prefix of every key.
const BEGIN: &str = "tak_";
/// Maximum number of networks of a key.
const MAX_NETWORKS: usize = 64;
/// Permitted lifetimes, in seconds: from a day to a year.
const LIFE: std::ops::RangeInclusive<i64> = 86_400..=31_536_000;
/// Default lifetime, in seconds: 90 days.
const USUAL_LIFE: i64 = 7_776_000;

/// An API key without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    pub id: Uuid,
    pub tenant: TenantId,
    pub name: String,
    pub role: Role,
    /// The public part of the key.
    pub prefix: String,
    /// Networks that the key may be used from; empty for any.
    pub networks: Vec<IpNet>,
    /// Subject of the creator.
    pub created_by: String,
    pub created_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
    /// Written within two minutes of the use.
    pub last_used_at: Option<OffsetDateTime>,
    pub last_used_ip: Option<String>,
    pub revoked_at: Option<OffsetDateTime>,
}

#[derive(Clone, Debug)]
pub struct NewApiKey {
    pub name: String,
    pub role: String,
    /// Lifetime in seconds; defaults to 90 days.
    pub expires_in: Option<i64>,
    /// Networks that the key may be used from; empty for any.
    pub networks: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct CreatedApiKey {
    pub key: ApiKey,
    /// The whole key, which is not stored.
    pub text: Secret<String>,
}

impl ApiKey {
    fn read(row: ApiKeyRow) -> Result<Self> {
        let networks = row.allowed_cidrs.iter().map(|net| net.parse().map_err(Error::internal));
        Ok(Self {
            id: row.id,
            tenant: row.tenant_id.tenant(),
            name: row.name,
            role: row.role,
            prefix: row.prefix,
            networks: networks.collect::<Result<_>>()?,
            created_by: row.created_by,
            created_at: row.created_at.time(),
            expires_at: row.expires_at.time(),
            last_used_at: row.last_used_at.map(Stamp::time),
            last_used_ip: row.last_used_ip,
            revoked_at: row.revoked_at.map(Stamp::time),
        })
    }

    pub fn shown_id(&self) -> String {
        IdKind::ApiKey.show(self.id)
    }

    fn change(&self, kind: ChangeKind) -> Change {
        Change::new(Resource::ApiKey, kind, self.shown_id()).within(self.tenant)
    }

    /// The subject of callers that use this key.
    pub fn subject(&self) -> String {
        format!("key:{}", self.shown_id())
    }

    /// Whether the key is valid at `now` for a client. A client of unknown address is in no network.
    pub fn admits(&self, now: OffsetDateTime, client: Option<IpAddr>) -> bool {
        let inside = |client: IpAddr| self.networks.iter().any(|net| net.contains(&client.to_canonical()));
        let near = self.networks.is_empty() || client.is_some_and(inside);
        near && self.revoked_at.is_none() && now < self.expires_at
    }

    /// Whether another key is valid only when and where this one is.
    fn covers(&self, other: &Self) -> bool {
        let inside = |net: &IpNet| self.networks.iter().any(|own| own.contains(net));
        // A key without networks is valid in all of them.
        let near = self.networks.is_empty() || !other.networks.is_empty() && other.networks.iter().all(inside);
        near && other.expires_at <= self.expires_at
    }
}

/// Whether a text has the form of a key.
pub fn is_key(text: &str) -> bool {
    opaque::is_formed(BEGIN, text)
}

/// Whether a text is meant as a key, valid or not.
pub fn reads_as_key(text: &str) -> bool {
    text.starts_with(BEGIN)
}

/// The key with a digest. For authentication: the result must not be returned to a caller.
pub async fn find(store: &Store, digest: &str) -> Result<Option<ApiKey>> {
    store.api_key_by_digest(digest).await?.map(ApiKey::read).transpose()
}

/// The current state of the API key that the caller uses; none for other callers. Fails with PERMISSION_DENIED
/// for a key that was revoked, has expired or belongs to another tenant.
pub(super) async fn of_caller(tx: &Tx, scope: TenantScope) -> Result<Option<ApiKey>> {
    let Basis::ApiKey(id) = tx.cx().caller.basis else { return Ok(None) };
    let key = tx.tenant(scope).api_keys().get(id).await?.map(ApiKey::read).transpose()?;
    let live = key.filter(|key| key.revoked_at.is_none() && tx.now() < key.expires_at);
    live.map(Some).ok_or_else(above_own)
}

/// A page of the keys of a tenant, including expired and revoked ones.
pub async fn page(cx: &Cx, store: &Store, tenant: &TenantRef, request: PageRequest) -> Result<Page<ApiKey>> {
    let scope = tenants::reach(cx, store, tenant).await?;
    let (rows, total) = store.tenant(scope).api_keys().page(request).await?;
    let keys = rows.into_iter().map(ApiKey::read).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(request, keys, total, |key| key.id))
}

/// Creates a key. Fails with INVALID_ARGUMENT for an invalid name, role, lifetime or network, with
/// PERMISSION_DENIED for a role above the caller's own, for a role that the caller loses before the key
/// expires, and for a key that permits more than the key that creates it; with FAILED_PRECONDITION if the tenant has as many valid keys as
/// it may.
pub async fn create(cx: &Cx, store: &Store, tenant: &TenantRef, new: NewApiKey) -> Result<CreatedApiKey> {
    let name = display_name::read(&new.name)?;
    let role = role(cx, &new.role)?;
    let life = life(new.expires_in)?;
    let networks = networks(&new.networks)?;
    let (prefix, text) = opaque::generate(BEGIN);
    let digest = opaque::digest(text.expose());
    let draft = Draft { tenant: tenant.clone(), name, role, life, networks, prefix, digest };
    Ok(CreatedApiKey { key: store.write(cx, draft, insert).await?, text })
}

/// A validated [`NewApiKey`].
struct Draft {
    tenant: TenantRef,
    name: String,
    role: Role,
    life: Duration,
    networks: Vec<IpNet>,
    prefix: String,
    digest: String,
}

impl Draft {
    fn row(&self, tx: &Tx, scope: TenantScope) -> ApiKeyRow {
        ApiKeyRow {
            tenant_id: scope.into(),
            id: tx.new_id(),
            name: self.name.clone(),
            role: self.role,
            prefix: self.prefix.clone(),
            secret_hash: self.digest.clone(),
            allowed_cidrs: Json(self.networks.iter().map(ToString::to_string).collect()),
            created_by: tx.cx().caller.subject.clone(),
            created_at: tx.now().into(),
            expires_at: (tx.now() + self.life).into(),
            last_used_at: None,
            last_used_ip: None,
            revoked_at: None,
        }
    }
}

async fn insert(tx: &Tx, draft: &Draft) -> Result<ApiKey> {
    let (_, scope) = tenants::resolve_locked(tx, &draft.tenant).await?;
    let row = draft.row(tx, scope);
    let key = ApiKey::read(row.clone())?;
    refuse_escape(tx, scope, &key).await?;
    entitlements::require_api_key(tx, scope).await?;
    let ends = key.expires_at.unix_timestamp();
    let details =
        json!({"name": row.name, "role": row.role.as_str(), "expires_at": ends, "networks": *row.allowed_cidrs});
    tx.tenant(scope).api_keys().insert(row).await?;
    tx.changed(key.change(ChangeKind::Created), key.shown_id(), details);
    Ok(key)
}

/// Refuses a key that would outlast the role of the caller; and one that would outlast the API key of the
/// caller, or be valid in other networks.
async fn refuse_escape(tx: &Tx, scope: TenantScope, new: &ApiKey) -> Result<()> {
    if let Some(own) = of_caller(tx, scope).await?
        && !own.covers(new)
    {
        let message = "an API key cannot create a key that expires later or allows more networks than itself";
        return Err(Error::denied(Reason::RoleAboveOwn, message));
    }
    ceiling::refuse_outlasting(tx, scope, new.role, Some(new.expires_at)).await
}

/// Revokes a key, unless it is revoked already. Fails with NOT_FOUND if the tenant has no such key, with
/// PERMISSION_DENIED for a key whose role is above the caller's own.
pub async fn revoke(cx: &Cx, store: &Store, tenant: &TenantRef, id: &str) -> Result<ApiKey> {
    let id = IdKind::ApiKey.read(id).ok_or_else(not_found)?;
    store.write(cx, (tenant.clone(), id), revoke_in).await
}

async fn revoke_in(tx: &Tx, (tenant, id): &(TenantRef, Uuid)) -> Result<ApiKey> {
    let (_, scope) = tenants::resolve_locked(tx, tenant).await?;
    let rows = tx.tenant(scope).api_keys();
    let key = rows.get(*id).await?.map(ApiKey::read).transpose()?.ok_or_else(not_found)?;
    if !tx.cx().caller.outranks(key.role) {
        return Err(above_own());
    }
    let now = tx.now();
    rows.revoke(*id, now.into()).await?;
    tx.revoke(Revocation::ApiKey { id: *id });
    tx.changed(key.change(ChangeKind::Revoked), key.shown_id(), json!({"name": key.name}));
    Ok(ApiKey { revoked_at: key.revoked_at.or(Some(now)), ..key })
}

/// A key has a role inside a tenant that is not above the caller's.
fn role(cx: &Cx, word: &str) -> Result<Role> {
    let parsed = word.parse().ok().filter(|role| *role != Role::Project);
    match parsed {
        Some(role) if !cx.caller.outranks(role) => Err(above_own()),
        Some(role) if role != Role::PlatformAdmin => Ok(role),
        _ => {
            let message =
                "the role of a key must be one of admin, network_admin, security_operator, auditor, read_only, user";
            Err(Error::invalid(Reason::InvalidArgument, "role", message))
        }
    }
}

fn life(seconds: Option<i64>) -> Result<Duration> {
    let seconds = seconds.unwrap_or(USUAL_LIFE);
    if LIFE.contains(&seconds) {
        return Ok(Duration::seconds(seconds));
    }
    let message = format!("the lifetime of a key must be {} to {} seconds", LIFE.start(), LIFE.end());
    Err(Error::invalid(Reason::InvalidArgument, "expires_in_seconds", message))
}

/// Parses networks in CIDR notation and removes duplicates.
fn networks(texts: &[String]) -> Result<Vec<IpNet>> {
    let bad = |message: String| Error::invalid(Reason::InvalidArgument, "allowed_cidrs", message);
    if texts.len() > MAX_NETWORKS {
        return Err(bad(format!("at most {MAX_NETWORKS} networks")));
    }
    let mut networks = Vec::with_capacity(texts.len());
    for text in texts {
        let net = usable_network(text).ok_or_else(|| {
            let shown: String = text.chars().filter(|c| !c.is_control()).take(64).collect();
            bad(format!("not a network such as 10.0.0.0/8 or 2001:db8::/32 (host bits must be zero): {shown}"))
        })?;
        if !networks.contains(&net) {
            networks.push(net);
        }
    }
    Ok(networks)
}

fn usable_network(text: &str) -> Option<IpNet> {
    let net = network::parse(text)?;
    // Client addresses are never IPv4-mapped IPv6 addresses, so such a network would match nothing.
    let mapped = matches!(net, IpNet::V6(net) if net.addr().to_ipv4_mapped().is_some());
    (net == net.trunc() && !mapped).then_some(net)
}

fn not_found() -> Error {
    Error::not_found(Reason::ApiKeyNotFound, "API key not found")
}

fn above_own() -> Error {
    Error::denied(Reason::RoleAboveOwn, "the role is above your own")
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn key(networks: &[&str]) -> ApiKey {
        ApiKey {
            id: Uuid::nil(),
            tenant: TenantId::from_uuid(Uuid::nil()),
            name: "ci".to_owned(),
            role: Role::Admin,
            prefix: "abcdefgh".to_owned(),
            networks: networks.iter().map(|net| net.parse().unwrap()).collect(),
            created_by: "ada".to_owned(),
            created_at: datetime!(2026-01-01 0:00 UTC),
            expires_at: datetime!(2026-01-02 0:00 UTC),
            last_used_at: None,
            last_used_ip: None,
            revoked_at: None,
        }
    }

    #[test]
    fn expired_and_revoked_keys_are_refused() {
        let (before, end) = (datetime!(2026-01-01 23:59:59 UTC), datetime!(2026-01-02 0:00 UTC));
        assert!(key(&[]).admits(before, None) && !key(&[]).admits(end, None));
        assert!(!ApiKey { revoked_at: Some(before), ..key(&[]) }.admits(before, None));
    }

    #[test]
    fn a_key_is_valid_only_in_its_networks() {
        let now = datetime!(2026-01-01 1:00 UTC);
        let from = |address: &str| key(&["10.0.0.0/8", "2001:db8::/32"]).admits(now, Some(address.parse().unwrap()));
        assert!(from("10.1.2.3") && from("2001:db8::1") && from("::ffff:10.1.2.3"));
        assert!(!from("11.0.0.1") && !from("2001:db9::1") && !from("::1"));
        assert!(!key(&["10.0.0.0/8"]).admits(now, None), "an unknown address is in no network");
    }

    #[test]
    fn a_key_covers_keys_that_expire_no_later_in_its_networks() {
        let own = key(&["10.0.0.0/8", "2001:db8::/32"]);
        assert!(own.covers(&key(&["10.1.0.0/16", "2001:db8::1/128"])) && own.covers(&own) && key(&[]).covers(&own));
        assert!(!own.covers(&key(&[])) && !own.covers(&key(&["10.1.0.0/16", "11.0.0.0/8"])));
        assert!(!own.covers(&key(&["0.0.0.0/0"])) && key(&[]).covers(&key(&[])));
        let longer = ApiKey { expires_at: own.expires_at + Duration::SECOND, ..key(&["10.0.0.0/8"]) };
        assert!(!own.covers(&longer) && !key(&[]).covers(&longer));
    }

    #[test]
    fn networks_are_parsed_strictly() {
        let read = |text: &str| networks(&[text.to_owned()]).map(|nets| nets[0].to_string());
        assert_eq!(read("192.0.2.7").unwrap(), "192.0.2.7/32");
        assert_eq!(read("2001:DB8::/32").unwrap(), "2001:db8::/32");
        for bad in ["", "10.0.0.1/8", "10.0.0.0/33", "example.com", "::ffff:10.0.0.0/104", "10.0.0.0/8 "] {
            assert_eq!(read(bad).unwrap_err().violations[0].field, "allowed_cidrs", "{bad}");
        }
        assert!(networks(&vec!["10.0.0.0/8".to_owned(); 65]).is_err());
    }

    #[test]
    fn a_key_is_valid_for_a_day_to_a_year() {
        assert_eq!(life(None).unwrap(), Duration::days(90));
        assert!(life(Some(86_400)).is_ok() && life(Some(31_536_000)).is_ok());
        for bad in [86_399, 31_536_001, 0, -1, i64::MIN] {
            assert!(life(Some(bad)).is_err(), "{bad}");
        }
    }
}
