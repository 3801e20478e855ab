//! API keys: credentials of programs, each in one tenant, which outlive whoever made them (zero-trust contract, section
//! 4.14).

use std::net::IpAddr;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ipnet::IpNet;
use serde_json::json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{accounts::display_name, roles::ceiling};
use crate::{
    base::{
        Basis, Caller, Cx, Error, IdKind, Page, PageRequest, Result, Role, Secret, TenantId, TenantRef, TenantScope,
        digest::sha256_hex, error::Reason,
    },
    store::{Change, ChangeKind, Resource, Revocation, Store, Tx, scopes::ApiKeyRow},
    tenants,
};

/// What every key begins with.
const BEGIN: &str = "tak_";
/// Characters of the part that may be shown.
const PREFIX: usize = 8;
/// Characters of the secret: 32 bytes.
const SECRET: usize = 43;
/// Most networks of a key.
const MAX_NETWORKS: usize = 64;
/// How long a key may live, in seconds: from a day to a year.
const LIFE: std::ops::RangeInclusive<i64> = 86_400..=31_536_000;
/// How long it lives where nobody says: 90 days.
const USUAL_LIFE: i64 = 7_776_000;

/// An API key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: Uuid,
    /// Its tenant.
    pub tenant: TenantId,
    /// What it is for.
    pub name: String,
    /// Its role in the tenant.
    pub role: Role,
    /// The part of the key that may be shown.
    pub prefix: String,
    /// Networks that it may be used from; any, if there are none.
    pub networks: Vec<IpNet>,
    /// Subject of who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it ends.
    pub expires_at: OffsetDateTime,
    /// When it was used last; written down within two minutes.
    pub last_used_at: Option<OffsetDateTime>,
    /// From where.
    pub last_used_ip: Option<String>,
    /// When it was revoked.
    pub revoked_at: Option<OffsetDateTime>,
}

/// A key to be.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// What it is for.
    pub name: String,
    /// Word of its role.
    pub role: String,
    /// How long it lives, in seconds; 90 days, if nobody says.
    pub expires_in: Option<i64>,
    /// Networks that it may be used from; any, if there are none.
    pub networks: Vec<String>,
}

/// A key that was made just now.
#[derive(Clone, Debug)]
pub struct MadeApiKey {
    /// The key.
    pub key: ApiKey,
    /// Its whole text, which nobody can tell again.
    pub text: Secret<String>,
}

impl ApiKey {
    fn of(tenant: TenantId, row: ApiKeyRow) -> Result<Self> {
        let networks = row.networks.iter().map(|net| net.parse().map_err(Error::internal));
        Ok(Self {
            id: row.id,
            tenant,
            name: row.name,
            role: row.role.parse().map_err(Error::internal)?,
            prefix: row.prefix,
            networks: networks.collect::<Result<_>>()?,
            created_by: row.created_by,
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            last_used_ip: row.last_used_ip,
            revoked_at: row.revoked_at,
        })
    }

    /// The id as it is shown.
    pub fn shown_id(&self) -> String {
        IdKind::ApiKey.show(self.id)
    }

    fn change(&self, kind: ChangeKind) -> Change {
        Change::new(Resource::ApiKey, kind, self.shown_id()).within(self.tenant)
    }

    /// The subject of callers with this key.
    pub fn subject(&self) -> String {
        format!("key:{}", self.shown_id())
    }

    /// Whether the key opens anything at a moment for a client at an address. Where there are networks, a client whose
    /// address is not known is in none of them.
    pub fn admits(&self, now: OffsetDateTime, client: Option<IpAddr>) -> bool {
        let inside = |client: IpAddr| self.networks.iter().any(|net| net.contains(&client.to_canonical()));
        let near = self.networks.is_empty() || client.is_some_and(inside);
        near && self.revoked_at.is_none() && now < self.expires_at
    }

    /// Whether another key is good at no moment and in no network where this one is not.
    fn covers(&self, other: &Self) -> bool {
        let inside = |net: &IpNet| self.networks.iter().any(|own| own.contains(net));
        // A key without networks is good in all of them.
        let near = self.networks.is_empty() || !other.networks.is_empty() && other.networks.iter().all(inside);
        near && other.expires_at <= self.expires_at
    }
}

/// Whether a text has the form of a key.
pub fn is_key(text: &str) -> bool {
    let word = |part: &str, length| part.len() == length && part.bytes().all(|b| b.is_ascii_alphanumeric());
    let secret =
        |part: &str| part.len() == SECRET && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let parts = text.strip_prefix(BEGIN).and_then(|rest| rest.split_once('_'));
    parts.is_some_and(|(prefix, rest)| word(prefix, PREFIX) && secret(rest))
}

/// Whether a text wants to be a key, good or not.
pub fn reads_as_key(text: &str) -> bool {
    text.starts_with(BEGIN)
}

/// The key with a digest. For authentication: what it finds must not reach a caller.
pub async fn find(store: &Store, digest: &str) -> Result<Option<ApiKey>> {
    let found = store.api_key_by_digest(digest).await?;
    found.map(|(tenant, row)| ApiKey::of(tenant, row)).transpose()
}

/// Whether the caller is a program with an API key.
pub(super) fn is_of_caller(caller: &Caller) -> bool {
    matches!(caller.basis, Basis::ApiKey(_))
}

/// The key with which the caller calls in a tenant, as it is now; none, if it calls otherwise. Fails with
/// PERMISSION_DENIED for a key that was revoked, has ended or is not the tenant's.
pub(super) async fn of_caller(tx: &Tx, scope: TenantScope) -> Result<Option<ApiKey>> {
    let Basis::ApiKey(id) = tx.cx().caller.basis else { return Ok(None) };
    let row = tx.tenant(scope).api_key(id).await?;
    let key = row.map(|row| ApiKey::of(scope.tenant(), row)).transpose()?;
    let live = key.filter(|key| key.revoked_at.is_none() && tx.now() < key.expires_at);
    live.map(Some).ok_or_else(above_own)
}

/// The digest under which a key is kept.
pub fn digest(text: &str) -> String {
    sha256_hex([text.as_bytes()])
}

/// A page of the keys of a tenant, those that have ended or were revoked included.
pub async fn page(cx: &Cx, store: &Store, tenant: &TenantRef, request: PageRequest) -> Result<Page<ApiKey>> {
    let scope = tenants::reach(cx, store, tenant).await?;
    let (rows, total) = store.tenant(scope).api_keys(request).await?;
    let keys = rows.into_iter().map(|row| ApiKey::of(scope.tenant(), row)).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(request, keys, total, |key| key.id))
}

/// Makes a key. Fails with INVALID_ARGUMENT for a bad name, role, time or network, with PERMISSION_DENIED for a role above
/// the caller's own, for one that the caller has for a shorter time than the key, and for a key that would do more than the
/// one with which it is made.
pub async fn create(cx: &Cx, store: &Store, tenant: &TenantRef, new: NewApiKey) -> Result<MadeApiKey> {
    let name = display_name::read(&new.name)?;
    let role = role(cx, &new.role)?;
    let life = life(new.expires_in)?;
    let networks = networks(&new.networks)?;
    let (prefix, text) = generate();
    let draft = Draft { tenant: tenant.clone(), name, role, life, networks, prefix, digest: digest(text.expose()) };
    Ok(MadeApiKey { key: store.write(cx, draft, insert).await?, text })
}

/// A key to be that keeps the rules.
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
    fn row(&self, tx: &Tx) -> ApiKeyRow {
        ApiKeyRow {
            id: tx.new_id(),
            name: self.name.clone(),
            role: self.role.as_str().to_owned(),
            prefix: self.prefix.clone(),
            networks: self.networks.iter().map(ToString::to_string).collect(),
            created_by: tx.cx().caller.subject.clone(),
            created_at: tx.now(),
            expires_at: tx.now() + self.life,
            last_used_at: None,
            last_used_ip: None,
            revoked_at: None,
        }
    }
}

async fn insert(tx: &Tx, draft: &Draft) -> Result<ApiKey> {
    let (tenant, scope) = tenants::resolve_locked(tx, &draft.tenant).await?;
    let row = draft.row(tx);
    refuse_escape(tx, scope, &row).await?;
    tx.tenant(scope).insert_api_key(&row, &draft.digest).await?;
    let ends = row.expires_at.unix_timestamp();
    let details = json!({"name": row.name, "role": row.role, "expires_at": ends, "networks": row.networks});
    let key = ApiKey::of(tenant.id, row)?;
    tx.changed(key.change(ChangeKind::Created), key.shown_id(), details);
    Ok(key)
}

/// Refuses a key that outlasts the rank of whoever makes it; and one that outlasts the key with which it is made, or is
/// good in other networks.
async fn refuse_escape(tx: &Tx, scope: TenantScope, row: &ApiKeyRow) -> Result<()> {
    let role: Role = row.role.parse().map_err(Error::internal)?;
    if let Some(own) = of_caller(tx, scope).await? {
        let new = ApiKey::of(scope.tenant(), row.clone())?;
        if !own.covers(&new) {
            let message = "an API key cannot create a key that expires later or allows more networks than itself";
            return Err(Error::denied(Reason::RoleAboveOwn, message));
        }
    }
    ceiling::refuse_outlasting(tx, scope, role, Some(row.expires_at)).await
}

/// Revokes a key, if it is not revoked already. Fails with NOT_FOUND if the tenant has no such key, with PERMISSION_DENIED
/// for one whose role is above the caller's own.
pub async fn revoke(cx: &Cx, store: &Store, tenant: &TenantRef, id: &str) -> Result<ApiKey> {
    let id = IdKind::ApiKey.read(id).ok_or_else(not_found)?;
    store.write(cx, (tenant.clone(), id), revoke_in).await
}

async fn revoke_in(tx: &Tx, (tenant, id): &(TenantRef, Uuid)) -> Result<ApiKey> {
    let (tenant, scope) = tenants::resolve_locked(tx, tenant).await?;
    let rows = tx.tenant(scope);
    let key = rows.api_key(*id).await?.map(|row| ApiKey::of(tenant.id, row)).transpose()?.ok_or_else(not_found)?;
    if !tx.cx().caller.outranks(key.role) {
        return Err(above_own());
    }
    let now = tx.now();
    rows.revoke_api_key(*id, now).await?;
    tx.revoke(Revocation::ApiKey { id: *id });
    tx.changed(key.change(ChangeKind::Revoked), key.shown_id(), json!({"name": key.name}));
    Ok(ApiKey { revoked_at: key.revoked_at.or(Some(now)), ..key })
}

/// A key has a role inside a tenant, of the caller's rank at most.
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

/// Networks in CIDR notation, each once; an address alone is a network of one.
fn networks(texts: &[String]) -> Result<Vec<IpNet>> {
    let bad = |message: String| Error::invalid(Reason::InvalidArgument, "allowed_cidrs", message);
    if texts.len() > MAX_NETWORKS {
        return Err(bad(format!("at most {MAX_NETWORKS} networks")));
    }
    let mut networks = Vec::with_capacity(texts.len());
    for text in texts {
        let net = network(text).ok_or_else(|| {
            let shown: String = text.chars().filter(|c| !c.is_control()).take(64).collect();
            bad(format!("not a network such as 10.0.0.0/8 or 2001:db8::/32 (host bits must be zero): {shown}"))
        })?;
        if !networks.contains(&net) {
            networks.push(net);
        }
    }
    Ok(networks)
}

fn network(text: &str) -> Option<IpNet> {
    let net = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))?;
    // The addresses of clients are never IPv4 ones in the clothes of IPv6, so such a network would hold none.
    let mapped = matches!(net, IpNet::V6(net) if net.addr().to_ipv4_mapped().is_some());
    (net == net.trunc() && !mapped).then_some(net)
}

/// The part of a new key that may be shown, and its whole text.
fn generate() -> (String, Secret<String>) {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let prefix: String = rand::random::<[u8; PREFIX]>().map(|b| ALPHABET[usize::from(b & 31)] as char).iter().collect();
    let secret = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let text = format!("{BEGIN}{prefix}_{secret}");
    (prefix, Secret::new(text))
}

/// There is no such key.
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
    fn keys_have_one_form() {
        let (prefix, text) = generate();
        let text = text.expose();
        assert!(is_key(text) && text.starts_with(&format!("tak_{prefix}_")), "{text}");
        assert_ne!(generate().1.expose(), text);
        for bad in ["", "tak_", &text[..text.len() - 1], &format!("{text}A"), &text.replace("tak_", "tek_"), "tak_a b"]
        {
            assert!(!is_key(bad), "{bad}");
        }
    }

    #[test]
    fn a_key_opens_nothing_after_its_end_or_its_revocation() {
        let (before, end) = (datetime!(2026-01-01 23:59:59 UTC), datetime!(2026-01-02 0:00 UTC));
        assert!(key(&[]).admits(before, None) && !key(&[]).admits(end, None));
        assert!(!ApiKey { revoked_at: Some(before), ..key(&[]) }.admits(before, None));
    }

    #[test]
    fn a_key_is_good_in_its_networks_alone() {
        let now = datetime!(2026-01-01 1:00 UTC);
        let from = |address: &str| key(&["10.0.0.0/8", "2001:db8::/32"]).admits(now, Some(address.parse().unwrap()));
        assert!(from("10.1.2.3") && from("2001:db8::1") && from("::ffff:10.1.2.3"));
        assert!(!from("11.0.0.1") && !from("2001:db9::1") && !from("::1"));
        assert!(!key(&["10.0.0.0/8"]).admits(now, None), "an unknown address is in no network");
    }

    #[test]
    fn a_key_covers_what_ends_no_later_in_its_own_networks() {
        let own = key(&["10.0.0.0/8", "2001:db8::/32"]);
        assert!(own.covers(&key(&["10.1.0.0/16", "2001:db8::1/128"])) && own.covers(&own) && key(&[]).covers(&own));
        assert!(!own.covers(&key(&[])) && !own.covers(&key(&["10.1.0.0/16", "11.0.0.0/8"])));
        assert!(!own.covers(&key(&["0.0.0.0/0"])) && key(&[]).covers(&key(&[])));
        let longer = ApiKey { expires_at: own.expires_at + Duration::SECOND, ..key(&["10.0.0.0/8"]) };
        assert!(!own.covers(&longer) && !key(&[]).covers(&longer));
    }

    #[test]
    fn networks_are_read_exactly() {
        let read = |text: &str| networks(&[text.to_owned()]).map(|nets| nets[0].to_string());
        assert_eq!(read("192.0.2.7").unwrap(), "192.0.2.7/32");
        assert_eq!(read("2001:DB8::/32").unwrap(), "2001:db8::/32");
        for bad in ["", "10.0.0.1/8", "10.0.0.0/33", "example.com", "::ffff:10.0.0.0/104", "10.0.0.0/8 "] {
            assert_eq!(read(bad).unwrap_err().violations[0].field, "allowed_cidrs", "{bad}");
        }
        assert!(networks(&vec!["10.0.0.0/8".to_owned(); 65]).is_err());
    }

    #[test]
    fn a_key_lives_a_day_to_a_year() {
        assert_eq!(life(None).unwrap(), Duration::days(90));
        assert!(life(Some(86_400)).is_ok() && life(Some(31_536_000)).is_ok());
        for bad in [86_399, 31_536_001, 0, -1, i64::MIN] {
            assert!(life(Some(bad)).is_err(), "{bad}");
        }
    }
}
