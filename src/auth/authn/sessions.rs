//! Sessions: our tokens that were issued by a login.

use std::{sync::Arc, time::Duration};

use time::OffsetDateTime;

use super::{
    csrf,
    keys::Keys,
    tokens::{self, Claims, MAX_LIFETIME},
};
use crate::auth::surface::Surface;
use crate::{
    audit::Denials,
    base::{Cx, Error, Result, Role, RoleSet, Secret, TenantId, error::Reason},
    identity::{
        Account, Credentials, Login, NewSession, People,
        login::{self, Purpose},
        sessions::revocations,
    },
};

/// Maximum lifetime of a session. Revocations by logout are kept as long.
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Debug)]
pub struct Session {
    pub token: Secret<String>,
    pub claims: Claims,
}

/// The account, tenant and roles of a new session.
#[derive(Clone, Debug)]
pub struct SessionOf<'a> {
    pub account: &'a Account,
    /// The id and name of the tenant in which the account acts.
    pub tenant: Option<(TenantId, &'a str)>,
    /// The role in that tenant.
    pub role: Role,
    /// Further roles.
    pub also: RoleSet,
    /// When a role expires, and with it the session.
    pub ends: Option<OffsetDateTime>,
}

/// Starts and ends sessions. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    people: People,
    keys: Arc<Keys>,
    denials: Denials,
}

impl<'a> SessionOf<'a> {
    /// The session of a login: the account in its own tenant, with its own roles.
    pub fn login(login: &'a Login) -> Self {
        Self {
            account: &login.account,
            tenant: login.tenant.as_ref().map(|tenant| (tenant.id, tenant.name.as_str())),
            role: login.account.role,
            also: login.also,
            ends: login.roles_end,
        }
    }
}

impl Sessions {
    pub fn new(people: People, keys: Arc<Keys>, denials: Denials) -> Self {
        Self { people, keys, denials }
    }

    /// Logs in, and records the planned session in the same write, if the account may have one.
    pub async fn log_in_to(
        &self,
        cx: &Cx,
        credentials: &Credentials,
        planned: &Claims,
        admits: fn(&Login) -> bool,
    ) -> Result<Login> {
        let session = NewSession { token_id: planned.jti.clone(), expires_at: planned.expires_at()?, admits };
        self.log_in(cx, credentials, &Purpose::Session(session)).await
    }

    /// Logs in (see [`login::login`]), and counts a refusal for the audit log.
    pub async fn log_in(&self, cx: &Cx, credentials: &Credentials, purpose: &Purpose) -> Result<Login> {
        let outcome = login::begin(cx, &self.people, credentials, purpose).await;
        if let Err(error) = &outcome
            && is_refusal(error)
        {
            self.denials.count_login(&credentials.user, cx.client, cx.rpc, error.reason);
        }
        outcome
    }

    /// The claims of a session on a surface with this lifetime, before its account is known.
    pub fn plan(&self, surface: Surface, ttl: Duration) -> Claims {
        Claims::minted(String::new(), Role::User, &[surface], ttl.min(LONGEST), self.people.store.clock())
    }

    /// Signs a session on a surface with this lifetime, or until a role expires.
    pub fn begin(&self, of: &SessionOf<'_>, surface: Surface, ttl: Duration) -> Result<Session> {
        self.begin_planned(of, self.plan(surface, ttl))
    }

    /// Signs a planned session.
    pub fn begin_planned(&self, of: &SessionOf<'_>, planned: Claims) -> Result<Session> {
        let subject = match of.account.tenant {
            // The subject of a tenant's account includes the tenant; that of a platform account is the same wherever it
            // acts.
            Some(_) => of.account.subject(of.tenant.map(|(_, name)| name)),
            None => of.account.subject(None),
        };
        let ends = of.ends.map_or(planned.exp, OffsetDateTime::unix_timestamp);
        let claims = Claims {
            sub: subject,
            role: of.role.as_str().to_owned(),
            exp: planned.exp.min(ends),
            roles: of.also.iter().filter(|role| *role != of.role).map(|role| role.as_str().to_owned()).collect(),
            tenant: of.tenant.map(|(id, _)| id.dashed()),
            account: Some(of.account.id),
            epoch: Some(of.account.epoch),
            ..planned
        };
        Ok(Session { token: Secret::new(tokens::issue(&self.keys, &claims)?), claims })
    }

    /// The expected value of `X-CSRF-Token` for the session with this token id.
    pub fn csrf_token(&self, token_id: &str) -> String {
        csrf::token(&self.keys, token_id)
    }

    /// Ends the session of a call, on every server.
    pub async fn log_out(&self, cx: &Cx) -> Result<()> {
        let (id, clock) = (cx.caller.token_id.clone(), self.people.store.clock());
        if id.is_empty() {
            return Err(Error::precondition(Reason::SessionMissing, "this credential is not a session"));
        }
        // The session of an account expires soon; a minted token may have a long lifetime.
        let longest =
            if cx.caller.account.is_some() { LONGEST } else { Duration::from_secs(MAX_LIFETIME.unsigned_abs()) };
        let expires_at = cx.caller.ends.unwrap_or(clock.now() + longest);
        revocations::revoke_token(&self.people.store, cx, id, expires_at).await
    }
}

fn is_refusal(error: &Error) -> bool {
    matches!(
        error.reason,
        Reason::LoginRefused | Reason::SecondFactorInvalid | Reason::SecondFactorRequired | Reason::TooManyAttempts
    )
}
