//! From a credential to a caller. Knows no messages and no rules: what it finds is left in the extensions of the
//! request, and the guard decides.

use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, header::AUTHORIZATION, request::Parts};
use time::OffsetDateTime;

use super::{
    api_keys::ApiKeys,
    cookies,
    keys::Keys,
    legacy_tokens::{ApiKey, ManagerClaims, ManagerKey},
    manager_no_auth,
    origins::Origins,
    principal::{self, Principals},
    revocation::Revocations,
    token_cache::TokenCache,
    tokens::{self, Claims},
};
use crate::auth::{request::ClientInfo, surface::Surface};
use crate::base::{
    Basis, Caller, CallerKind, Clock, Error, Result, Role, RoleSet, TenantRef,
    caller::{CallerFacts, CallerTenant},
    digest::sha256_hex,
};
use crate::identity::api_keys;

/// What is known of the caller of a request.
#[derive(Clone, Debug)]
pub enum Authentication {
    /// No credential was given.
    Anonymous,
    /// A good credential, on this surface.
    Caller(Caller, Surface),
    /// A credential that cannot be used, and why.
    Refused(Arc<Error>),
}

/// Finds the tenant that a credential names. The store's registry, or a fake in tests.
#[async_trait]
pub trait Tenants: Send + Sync + 'static {
    /// The tenant, unless there is none or it is being deleted.
    async fn find(&self, tenant: &TenantRef) -> Result<Option<CallerTenant>>;
}

/// Turns credentials into callers.
pub struct Authenticator {
    keys: Arc<Keys>,
    manager: Option<ManagerKey>,
    warehouse: Option<ApiKey>,
    api_keys: Option<ApiKeys>,
    principals: Option<Principals>,
    origins: Origins,
    open_manager: bool,
    revocations: Revocations,
    cache: TokenCache,
    tenants: Arc<dyn Tenants>,
    clock: Clock,
}

/// A credential whose signature is good, before its tenant is looked up.
#[derive(Debug, PartialEq, Eq)]
struct Credential {
    kind: CallerKind,
    subject: String,
    role: Role,
    also: RoleSet,
    basis: Basis,
    tenant: Option<String>,
    project: Option<String>,
    token_id: String,
    /// When it was issued, in seconds since the epoch.
    issued: Option<i64>,
    /// When it ends, of a token of ours, in seconds since the epoch.
    ends: Option<i64>,
}

impl Authenticator {
    /// An authenticator of our own tokens.
    pub fn new(keys: Arc<Keys>, revocations: Revocations, tenants: Arc<dyn Tenants>, clock: Clock) -> Self {
        let cache = TokenCache::new(clock.clone());
        let origins = Origins::default();
        let (manager, warehouse, api_keys, principals, open_manager) = (None, None, None, None, false);
        Self {
            keys,
            manager,
            warehouse,
            api_keys,
            principals,
            origins,
            open_manager,
            revocations,
            cache,
            tenants,
            clock,
        }
    }

    /// Reads the documented credentials of others too, where they are configured.
    pub fn with_foreign(self, manager: Option<ManagerKey>, warehouse: Option<ApiKey>) -> Self {
        Self { manager, warehouse, ..self }
    }

    /// Reads the API keys of tenants too, on the zero-trust surface.
    pub fn with_api_keys(self, api_keys: ApiKeys) -> Self {
        Self { api_keys: Some(api_keys), ..self }
    }

    /// Reads on the messaging surface for whom a caller speaks.
    pub fn with_principals(self, principals: Principals) -> Self {
        Self { principals: Some(principals), ..self }
    }

    /// Lets pages of these origins, besides our own, change things with a session in a cookie.
    pub fn with_origins(self, origins: Origins) -> Self {
        Self { origins, ..self }
    }

    /// Asks local callers on manager paths for no credential, if `open`.
    pub fn with_open_manager(self, open: bool) -> Self {
        Self { open_manager: open, ..self }
    }

    /// Who calls, by the head of a call.
    pub async fn authenticate(&self, call: &Parts) -> Authentication {
        let Some(surface) = Surface::of_path(call.uri.path()) else { return Authentication::Anonymous };
        match self.who(surface, call).await {
            Ok(None) => Authentication::Anonymous,
            Ok(Some(caller)) => Authentication::Caller(caller, surface),
            Err(error) => {
                if let Some(cause) = &error.cause {
                    tracing::error!(cause = cause.as_ref(), "cannot verify a credential");
                }
                Authentication::Refused(Arc::new(error))
            }
        }
    }

    async fn who(&self, surface: Surface, call: &Parts) -> Result<Option<Caller>> {
        if let Some((keys, text)) = self.api_key_of(surface, &call.headers) {
            let client = call.extensions.get::<ClientInfo>().and_then(|client| client.address);
            return keys.caller(self.tenants.as_ref(), text, client).await.map(Some);
        }
        match self.credential(surface, call)? {
            Some(credential) => {
                let caller = self.caller(credential).await?;
                self.with_principal(surface, caller, &call.headers).await.map(Some)
            }
            None if self.open_manager && surface == Surface::Manager => manager_no_auth::admit(call),
            None => Ok(None),
        }
    }

    /// The caller, and for whom it speaks. Where nobody can say who that is, the call is refused.
    async fn with_principal(&self, surface: Surface, caller: Caller, headers: &HeaderMap) -> Result<Caller> {
        match &self.principals {
            _ if surface != Surface::Messaging => Ok(caller),
            Some(principals) => principals.join(caller, headers).await,
            None if headers.contains_key(principal::HEADER) => Err(tokens::invalid()),
            None => Ok(caller),
        }
    }

    /// The API key that the headers carry, where such keys are good.
    fn api_key_of<'h>(&self, surface: Surface, headers: &'h HeaderMap) -> Option<(&ApiKeys, &'h str)> {
        let keys = self.api_keys.as_ref().filter(|_| surface == Surface::ZeroTrust)?;
        bearer(headers).ok().flatten().filter(|text| api_keys::reads_as_key(text)).map(|text| (keys, text))
    }

    /// The credential that the headers carry. A header that is there and cannot be read is a bad credential, not none. A
    /// browser sends its cookie by itself, so it counts only where nothing else was given.
    fn credential(&self, surface: Surface, call: &Parts) -> Result<Option<Credential>> {
        if let Some(token) = bearer(&call.headers)? {
            return self.bearer(surface, token).map(Some);
        }
        let mut keys = call.headers.get_all("x-api-key").iter();
        match (surface, keys.next(), keys.next()) {
            (Surface::Warehouse, Some(key), None) => self.api_key(surface, key.as_bytes()).map(Some),
            // Another one may have been added on the way.
            (Surface::Warehouse, Some(_), Some(_)) => Err(tokens::invalid()),
            _ => self.session(surface, call),
        }
    }

    /// The session of a cookie: a token of ours, and no other credential.
    fn session(&self, surface: Surface, call: &Parts) -> Result<Option<Credential>> {
        let Some(token) = cookies::token(surface, call)? else { return Ok(None) };
        let credential = self.own(surface, &token)?;
        cookies::check_change(&self.keys, &self.origins, &credential.token_id, call)?;
        Ok(Some(credential))
    }

    fn bearer(&self, surface: Surface, token: &str) -> Result<Credential> {
        match &self.manager {
            // One algorithm for each key: the header chooses which key is tried, never how it is used.
            Some(key) if surface == Surface::Manager && tokens::parse(token)?.header.is_hs256() => {
                self.managers(key, token)
            }
            _ => self.own(surface, token),
        }
    }

    fn own(&self, surface: Surface, token: &str) -> Result<Credential> {
        let claims = match self.cache.get(token) {
            Some(claims) => claims,
            None => self.cache.insert(token, tokens::verify(&self.keys, token)?),
        };
        self.ours(surface, &claims)
    }

    fn ours(&self, surface: Surface, claims: &Claims) -> Result<Credential> {
        tokens::check(claims, surface, self.clock.unix())?;
        self.revocations.check(claims)?;
        Ok(Credential {
            kind: if claims.account.is_some() { CallerKind::User } else { CallerKind::Service },
            subject: claims.sub.clone(),
            role: role(&claims.role)?,
            also: claims.roles.iter().map(|word| role(word)).collect::<Result<_>>()?,
            basis: basis(claims),
            tenant: claims.tenant.clone(),
            project: claims.project.clone(),
            token_id: claims.jti.clone(),
            issued: Some(claims.iat),
            ends: Some(claims.exp),
        })
    }

    fn managers(&self, key: &ManagerKey, token: &str) -> Result<Credential> {
        let claims = key.verify(token)?;
        claims.check(self.clock.unix())?;
        let token_id = foreign_token_id(token);
        for id in claims.jti.iter().chain([&token_id]) {
            self.revocations.check_id(id)?;
        }
        let ManagerClaims { subject, role, tenant, project, iat: issued, .. } = claims;
        let (kind, also) = (CallerKind::Service, RoleSet::default());
        Ok(Credential { kind, subject, role, also, basis: Basis::Token, tenant, project, token_id, issued, ends: None })
    }

    /// `X-API-Key` holds the static key, or a login session, which is a token of ours.
    fn api_key(&self, surface: Surface, given: &[u8]) -> Result<Credential> {
        if self.warehouse.as_ref().is_some_and(|key| key.matches(given)) {
            return Ok(Credential {
                kind: CallerKind::Service,
                subject: "api-key".to_owned(),
                role: Role::PlatformAdmin,
                also: RoleSet::default(),
                basis: Basis::Token,
                tenant: None,
                project: None,
                token_id: String::new(),
                issued: None,
                ends: None,
            });
        }
        self.bearer(surface, std::str::from_utf8(given).map_err(|_| tokens::invalid())?)
    }

    async fn caller(&self, credential: Credential) -> Result<Caller> {
        credential.check()?;
        let tenant = match &credential.tenant {
            Some(text) => Some(self.tenant(&TenantRef::of_credential(text), credential.issued).await?),
            None => None,
        };
        Ok(Caller::new(CallerFacts {
            kind: credential.kind,
            subject: credential.subject,
            role: credential.role,
            also: credential.also,
            account: credential.basis.account(),
            basis: credential.basis,
            tenant,
            project: credential.project,
            token_id: credential.token_id,
            ends: credential.ends.and_then(|end| OffsetDateTime::from_unix_timestamp(end).ok()),
            principal: None,
        }))
    }
}

impl Authenticator {
    /// The tenant that a credential names. An id is never used again. A name may be, so a credential that holds one must
    /// have been issued after the last tenant of the name before gave it up, to the second, and not in the future, where
    /// nobody knows yet whose name it is. There is no leeway in this.
    async fn tenant(&self, named: &TenantRef, issued: Option<i64>) -> Result<CallerTenant> {
        let tenant = self.tenants.find(named).await?.ok_or_else(tokens::invalid)?;
        let by_name = !matches!(named, TenantRef::Id(_));
        let in_its_time = issued.is_some_and(|issued| (tenant.named_since..=self.clock.unix()).contains(&issued));
        if by_name && !in_its_time { Err(tokens::invalid()) } else { Ok(tenant) }
    }
}

impl Credential {
    /// What says two things at once is not believed in either: a platform role confined to a tenant or a project, a
    /// project role without a project, and a project beside another role.
    fn check(&self) -> Result<()> {
        let confined = self.tenant.is_some() || self.project.is_some();
        let roles = self.also.with(self.role);
        let torn = roles.contains(Role::PlatformAdmin) && confined;
        let half = roles.contains(Role::Project) != self.project.is_some();
        if torn || half { Err(tokens::invalid()) } else { Ok(()) }
    }
}

/// What a token of ours rests on.
fn basis(claims: &Claims) -> Basis {
    match (claims.account, claims.epoch) {
        (Some(id), Some(epoch)) => Basis::Account { id, epoch },
        _ => Basis::Token,
    }
}

/// The role of a claim.
fn role(word: &str) -> Result<Role> {
    word.parse().map_err(|_| tokens::invalid())
}

/// The id by which a token that carries none is revoked.
pub fn foreign_token_id(token: &str) -> String {
    format!("sha256:{}", sha256_hex([token.as_bytes()]))
}

/// The token of the one `Authorization: Bearer` header (RFC 6750; the scheme in any case). Another scheme is none that
/// anybody here reads, such as that of a proxy on the way: as if the header had not been given. What begins with this
/// scheme and goes on otherwise than RFC 9110 (11.4) has it, with spaces and a token, is a bad credential.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let header = match (all.next(), all.next()) {
        (None, _) => return Ok(None),
        // HTTP/2 does not drop the space around a value, as HTTP/1.1 does.
        (Some(header), None) => trim(header.as_bytes(), b" \t"),
        (Some(_), Some(_)) => return Err(tokens::invalid()),
    };
    let end = header.iter().position(|octet| !is_tchar(*octet)).unwrap_or(header.len());
    let (scheme, token) = header.split_at(end);
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return Ok(None);
    }
    let spaced = token.starts_with(b" ");
    let token = trim(token, b" ");
    let good = spaced && !token.is_empty() && token.iter().all(u8::is_ascii_graphic);
    std::str::from_utf8(token).ok().filter(|_| good).map(Some).ok_or_else(tokens::invalid)
}

/// A text without these characters around it.
fn trim<'t>(text: &'t [u8], around: &[u8]) -> &'t [u8] {
    let is_meant = |octet: &u8| !around.contains(octet);
    let start = text.iter().position(is_meant).unwrap_or(text.len());
    let end = text.iter().rposition(is_meant).map_or(start, |last| last + 1);
    // Cannot panic: the first character that is meant is not behind the last one, and without any both are the length.
    &text[start..end]
}

/// Whether a character may be in the name of a scheme (RFC 9110, 5.6.2).
fn is_tchar(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet)
}

#[cfg(test)]
#[path = "authenticate_tests.rs"]
mod tests;
