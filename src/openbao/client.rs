//! Calls with the token of the server.

use std::sync::Arc;

use http::Method;
use tokio::time::Instant;

use super::{
    call::Call,
    error::{Cause, OpenBaoError, Result},
    health::{self, Health, Monitor},
    identity::Identity,
    link::{Ask, Link, Reply},
    settings::OpenBaoSettings,
};
use crate::providers::egress::EgressError;

/// The client of an OpenBAO server. Cheap to clone; clones share the token.
#[derive(Clone)]
pub struct OpenBao(Arc<Inner>);

struct Inner {
    link: Arc<Link>,
    identity: Identity,
    monitor: Monitor,
}

impl OpenBao {
    /// Makes no call yet.
    pub fn new(settings: OpenBaoSettings) -> Result<Self, EgressError> {
        let link = Arc::new(Link::new(&settings)?);
        let identity = Identity::new(link.clone(), settings.credential);
        Ok(Self(Arc::new(Inner { link, identity, monitor: Monitor::new() })))
    }

    /// The identity of this server.
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// The result of the last check.
    pub fn health(&self) -> Health {
        self.0.monitor.health()
    }

    /// Whether the health must be checked, or the token renewed.
    pub fn is_due(&self) -> bool {
        self.0.monitor.is_due() || self.0.identity.is_due()
    }

    /// Renews the token if that is due, and checks whether OpenBAO accepts it and has the database engine.
    pub async fn tend(&self) -> Result<()> {
        let deadline = self.0.link.deadline();
        let checked = self.check(deadline).await;
        self.0.monitor.record(match &checked {
            Ok(()) => Health::Ok,
            Err(error) => Health::Failing(error.cause),
        });
        checked
    }

    async fn check(&self, deadline: Instant) -> Result<()> {
        health::check(&self.0.link, deadline).await?;
        self.0.identity.tend(deadline).await?;
        let ask = Ask::new(Call::FindEngine, Method::GET, "sys/mounts/database");
        self.attempt(ask, deadline, false).await.map(drop)
    }

    /// Makes a call with the token of the server. If the token is no longer valid, a new one is obtained, if that is possible.
    pub(super) async fn call(&self, ask: Ask<'_>) -> Result<Reply> {
        let reply = self.attempt(ask, self.0.link.deadline(), true).await;
        if let Err(OpenBaoError { cause, .. }) = &reply
            && (cause.can_pass() || *cause == Cause::TokenInvalid)
            && *cause != Cause::DatabaseDown
        {
            self.0.monitor.doubt();
        }
        reply
    }

    async fn attempt(&self, ask: Ask<'_>, deadline: Instant, repeated: bool) -> Result<Reply> {
        let (link, identity) = (&self.0.link, &self.0.identity);
        let token = identity.token(deadline).await?;
        let refused = match link.ask(&ask.with_token(&token.secret), deadline, repeated).await {
            Err(error) if error.cause == Cause::TokenInvalid => error,
            reply => return reply,
        };
        let replaced = identity.replace(&token, deadline).await?;
        if replaced.generation == token.generation {
            return Err(refused);
        }
        link.ask(&ask.with_token(&replaced.secret), deadline, repeated).await
    }
}

impl std::fmt::Debug for OpenBao {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenBao").field("identity", &self.0.identity).finish_non_exhaustive()
    }
}
