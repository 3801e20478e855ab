//! From a credential to a caller. Knows neither messages nor rules: the result is added to the request's
//! extensions, and the guard decides.

use std::sync::Arc;

use http::{HeaderMap, request::Parts};
use time::OffsetDateTime;

use super::{
    api_keys::ApiKeys,
    authorization_header::{self, Scheme},
    cookies,
    enrolled::Entry,
    enrolled_credentials::{self, EnrolledCredentials},
    keys::Keys,
    legacy_tokens::{ApiKey, ManagerClaims, ManagerKey},
    manager_no_auth,
    origins::Origins,
    principal::{self, Principals},
    revocation::Revocations,
    tenant_lookup::Tenants,
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

/// The result of authenticating a request.
#[derive(Clone, Debug)]
pub enum Authentication {
    Anonymous,
    /// A valid credential on this surface.
    Caller(Caller, Surface),
    /// An invalid credential, with the reason.
    Refused(Arc<Error>),
    /// A valid credential of a device or gateway that may not call now, with the reason.
    Held(CallerKind, Arc<Error>),
}

/// Turns credentials into callers.
pub struct Authenticator {
    keys: Arc<Keys>,
    manager: Option<ManagerKey>,
    warehouse: Option<ApiKey>,
    api_keys: Option<ApiKeys>,
    enrolled: Option<EnrolledCredentials>,
    principals: Option<Principals>,
    origins: Origins,
    open_manager: bool,
    revocations: Revocations,
    cache: TokenCache,
    tenants: Arc<dyn Tenants>,
    clock: Clock,
}

/// A credential with a valid signature, before its tenant is looked up.
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
    /// In seconds since the Unix epoch.
    issued: Option<i64>,
    /// When one of our tokens begins to be refused, in seconds since the Unix epoch.
    ends: Option<i64>,
}

impl Authenticator {
    /// An authenticator for our own tokens.
    pub fn new(keys: Arc<Keys>, revocations: Revocations, tenants: Arc<dyn Tenants>, clock: Clock) -> Self {
        let cache = TokenCache::default();
        let origins = Origins::default();
        let (manager, warehouse, api_keys, enrolled, principals) = (None, None, None, None, None);
        Self {
            keys,
            manager,
            warehouse,
            api_keys,
            enrolled,
            principals,
            origins,
            open_manager: false,
            revocations,
            cache,
            tenants,
            clock,
        }
    }

    /// Also accepts the documented third-party credentials that are configured.
    pub fn with_third_party(self, manager: Option<ManagerKey>, warehouse: Option<ApiKey>) -> Self {
        Self { manager, warehouse, ..self }
    }

    /// Also accepts the API keys of tenants, on the zero-trust surface.
    pub fn with_api_keys(self, api_keys: ApiKeys) -> Self {
        Self { api_keys: Some(api_keys), ..self }
    }

    /// Also accepts devices and gateways, on the zero-trust surface.
    pub fn with_enrolled(self, enrolled: EnrolledCredentials) -> Self {
        Self { enrolled: Some(enrolled), ..self }
    }

    /// Evaluates original principals on the messaging surface.
    pub fn with_principals(self, principals: Principals) -> Self {
        Self { principals: Some(principals), ..self }
    }

    /// Also allows pages of these origins to make changes with a session cookie.
    pub fn with_origins(self, origins: Origins) -> Self {
        Self { origins, ..self }
    }

    /// If `open`, admits local callers on manager paths without a credential.
    pub fn with_open_manager(self, open: bool) -> Self {
        Self { open_manager: open, ..self }
    }

    /// The caller, from the head of a call.
    pub async fn authenticate(&self, call: &Parts) -> Authentication {
        let Some(surface) = Surface::of_path(call.uri.path()) else { return Authentication::Anonymous };
        match self.identify(surface, call).await {
            Ok(None) => Authentication::Anonymous,
            Ok(Some(Entry::Caller(caller))) => Authentication::Caller(caller, surface),
            Ok(Some(Entry::Held(kind, error))) => Authentication::Held(kind.caller_kind(), Arc::new(error)),
            Err(error) => {
                if let Some(cause) = &error.cause {
                    tracing::error!(cause = cause.as_ref(), "cannot verify a credential");
                }
                Authentication::Refused(Arc::new(error))
            }
        }
    }

    /// Devices and gateways call only on the zero-trust surface. A certificate counts only without another credential:
    /// clients present it on every connection.
    async fn identify(&self, surface: Surface, call: &Parts) -> Result<Option<Entry>> {
        if surface != Surface::ZeroTrust {
            return Ok(self.identify_other(surface, call).await?.map(Entry::Caller));
        }
        let known = self.enrolled.as_ref();
        if let Some(token) = enrolled_credentials::token(call)? {
            return enrolled_credentials::by_token(known, &self.keys, token, call).await.map(Some);
        }
        match self.identify_other(surface, call).await? {
            Some(caller) => Ok(Some(Entry::Caller(caller))),
            None => enrolled_credentials::by_certificate(known, call).await,
        }
    }

    /// Callers that are not enrolled.
    async fn identify_other(&self, surface: Surface, call: &Parts) -> Result<Option<Caller>> {
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

    /// Combines the caller with its principal. If the principal cannot be determined, the call is refused.
    async fn with_principal(&self, surface: Surface, caller: Caller, headers: &HeaderMap) -> Result<Caller> {
        match &self.principals {
            _ if surface != Surface::Messaging => Ok(caller),
            Some(principals) => principals.join(caller, headers).await,
            None if headers.contains_key(principal::HEADER) => Err(tokens::invalid()),
            None => Ok(caller),
        }
    }

    /// The API key in the headers, on surfaces that accept API keys.
    fn api_key_of<'h>(&self, surface: Surface, headers: &'h HeaderMap) -> Option<(&ApiKeys, &'h str)> {
        let keys = self.api_keys.as_ref().filter(|_| surface == Surface::ZeroTrust)?;
        authorization_header::token(headers, Scheme::Bearer)
            .ok()
            .flatten()
            .filter(|text| api_keys::reads_as_key(text))
            .map(|text| (keys, text))
    }

    /// The credential in the headers. A header that cannot be parsed is an invalid credential, not a missing one.
    /// Browsers send cookies automatically, so a cookie counts only without another credential.
    fn credential(&self, surface: Surface, call: &Parts) -> Result<Option<Credential>> {
        if let Some(token) = authorization_header::token(&call.headers, Scheme::Bearer)? {
            return self.bearer(surface, token).map(Some);
        }
        let mut keys = call.headers.get_all("x-api-key").iter();
        match (surface, keys.next(), keys.next()) {
            (Surface::Warehouse, Some(key), None) => self.api_key(surface, key.as_bytes()).map(Some),
            // The second one may have been added on the way.
            (Surface::Warehouse, Some(_), Some(_)) => Err(tokens::invalid()),
            _ => self.session(surface, call),
        }
    }

    /// The session of a cookie: one of our tokens, and no other kind of credential.
    fn session(&self, surface: Surface, call: &Parts) -> Result<Option<Credential>> {
        let Some(token) = cookies::token(surface, call)? else { return Ok(None) };
        let credential = self.own(surface, &token)?;
        cookies::check_change(&self.keys, &self.origins, &credential.token_id, call)?;
        Ok(Some(credential))
    }

    fn bearer(&self, surface: Surface, token: &str) -> Result<Credential> {
        match &self.manager {
            // One algorithm per key: the header selects the key, never how it is used.
            Some(key) if surface == Surface::Manager && tokens::parse(token)?.header.is_hs256() => {
                self.manager_token(key, token)
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
            ends: Some(tokens::end(claims)),
        })
    }

    fn manager_token(&self, key: &ManagerKey, token: &str) -> Result<Credential> {
        let claims = key.verify(token)?;
        claims.check(self.clock.unix())?;
        let token_id = third_party_token_id(token);
        for id in claims.jti.iter().chain([&token_id]) {
            self.revocations.check_id(id)?;
        }
        let ManagerClaims { subject, role, tenant, project, iat: issued, .. } = claims;
        let (kind, also) = (CallerKind::Service, RoleSet::default());
        Ok(Credential { kind, subject, role, also, basis: Basis::Token, tenant, project, token_id, issued, ends: None })
    }

    /// `X-API-Key` contains the static key, or a login session, which is one of our tokens.
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
        let tenant = match (&credential.tenant, &credential.project) {
            (Some(text), _) => Some(self.tenant(&TenantRef::of_credential(text), credential.issued).await?),
            // Without a tenant the caller may access nothing: the project was deleted, or never existed.
            (None, Some(project)) => self.tenants.find_of_project(project).await?,
            (None, None) => None,
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
            ..CallerFacts::default()
        }))
    }
}

impl Authenticator {
    /// The tenant that a credential names. Ids are never reused. Names may be, so a credential with a name must
    /// have been issued after the previous tenant of that name released it, even if the issuer's clock was ahead, and not
    /// in the future, for which the name's owner is not known yet. There is no leeway in this.
    async fn tenant(&self, named: &TenantRef, issued: Option<i64>) -> Result<CallerTenant> {
        let tenant = self.tenants.find(named).await?.ok_or_else(tokens::invalid)?;
        let is_issued_since = |since: i64| issued.is_some_and(|issued| (since..=self.clock.unix()).contains(&issued));
        if tenant.named_since.is_none_or(is_issued_since) { Ok(tenant) } else { Err(tokens::invalid()) }
    }
}

impl Credential {
    /// Contradictory credentials are refused: a platform role restricted to a tenant or a project, a project role
    /// without a project, and a project with another role.
    fn check(&self) -> Result<()> {
        let confined = self.tenant.is_some() || self.project.is_some();
        let roles = self.also.with(self.role);
        let torn = roles.contains(Role::PlatformAdmin) && confined;
        let half = roles.contains(Role::Project) != self.project.is_some();
        if torn || half { Err(tokens::invalid()) } else { Ok(()) }
    }
}

/// What the validity of one of our tokens depends on.
fn basis(claims: &Claims) -> Basis {
    match (claims.account, claims.epoch) {
        (Some(id), Some(epoch)) => Basis::Account { id, epoch },
        _ => Basis::Token,
    }
}

fn role(word: &str) -> Result<Role> {
    word.parse().map_err(|_| tokens::invalid())
}

/// The id under which a third-party token without an id is revoked.
pub fn third_party_token_id(token: &str) -> String {
    format!("sha256:{}", sha256_hex([token.as_bytes()]))
}

#[cfg(test)]
#[path = "authenticate_enrolled_tests.rs"]
mod enrolled_tests;
#[cfg(test)]
#[path = "authenticate_tests.rs"]
mod tests;
