//! The token of the server: obtained, renewed, and replaced when it ends.
//!
//! Leases end with the token that made them, so the token is renewed before anything else. Each new token has a higher
//! generation, by which the holders of leases recognize that theirs will end.

mod files;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use http::Method;
use serde::Deserialize;
use serde_json::json;
use tokio::{
    sync::{Mutex as Turn, MutexGuard},
    time::{Instant, timeout_at},
};

use self::files::Wrapped;
use super::{
    call::Call,
    error::{Cause, OpenBaoError, Result},
    link::{Ask, Link},
    settings::{Credential, SecretId},
};
use crate::base::Secret;

/// The shortest time between two renewals.
const SHORTEST: Duration = Duration::from_millis(500);

/// The identity of this server at OpenBAO.
pub struct Identity {
    link: Arc<Link>,
    credential: Credential,
    current: ArcSwapOption<Token>,
    generation: AtomicU64,
    /// When the token must be renewed; `None` if never, or if there is none.
    renew_at: Mutex<Option<Instant>>,
    /// Locked while the token is obtained or renewed, so that one caller does it for all.
    state: Turn<State>,
}

/// A token that was valid when it was obtained.
pub(super) struct Token {
    pub secret: Secret<String>,
    pub generation: u64,
}

#[derive(Default)]
struct State {
    wrapped: Wrapped,
    /// How long the token is valid after a renewal.
    lifetime: Duration,
    /// Whether the log has a warning that the token ends.
    warned: bool,
}

#[derive(Deserialize)]
struct Found {
    data: FoundToken,
}

#[derive(Deserialize)]
struct FoundToken {
    ttl: u64,
    #[serde(default)]
    creation_ttl: u64,
    #[serde(default)]
    period: u64,
    #[serde(default)]
    renewable: bool,
    #[serde(default)]
    orphan: bool,
    #[serde(default)]
    policies: Vec<String>,
    expire_time: Option<String>,
}

#[derive(Deserialize)]
struct Granted {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    client_token: Secret<String>,
    lease_duration: u64,
}

impl Identity {
    pub(super) fn new(link: Arc<Link>, credential: Credential) -> Self {
        Self {
            link,
            credential,
            current: ArcSwapOption::empty(),
            generation: AtomicU64::new(0),
            renew_at: Mutex::default(),
            state: Turn::default(),
        }
    }

    /// The number of the current token; 0 before the first. A lease that was made with another token ends with that token.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Whether the token must be obtained or renewed now.
    pub fn is_due(&self) -> bool {
        let renew_at = *self.renew_at.lock().unwrap_or_else(PoisonError::into_inner);
        self.current.load().is_none() || renew_at.is_some_and(|at| at <= Instant::now())
    }

    /// The current token; the first caller obtains it.
    pub(super) async fn token(&self, deadline: Instant) -> Result<Arc<Token>> {
        if let Some(token) = self.current.load_full() {
            return Ok(token);
        }
        let mut state = self.turn(deadline).await?;
        match self.current.load_full() {
            Some(token) => Ok(token),
            None => self.obtain(&mut state, deadline).await,
        }
    }

    /// A token in place of one that OpenBAO no longer accepts.
    pub(super) async fn replace(&self, refused: &Token, deadline: Instant) -> Result<Arc<Token>> {
        let mut state = self.turn(deadline).await?;
        match self.current.load_full() {
            Some(token) if token.generation != refused.generation => Ok(token),
            _ => self.obtain(&mut state, deadline).await,
        }
    }

    /// Obtains the token if there is none, takes a new one from its file, and renews it if that is due.
    pub(super) async fn tend(&self, deadline: Instant) -> Result<()> {
        let mut state = self.turn(deadline).await?;
        let Some(token) = self.current.load_full() else {
            return self.obtain(&mut state, deadline).await.map(drop);
        };
        if let Credential::TokenFile(path) = &self.credential
            && files::token(path).await.is_ok_and(|found| found != token.secret)
        {
            tracing::info!("the file with the OpenBAO token has a new token");
            return self.obtain(&mut state, deadline).await.map(drop);
        }
        if self.is_due() { self.renew(&mut state, &token, deadline).await } else { Ok(()) }
    }

    async fn turn(&self, deadline: Instant) -> Result<MutexGuard<'_, State>> {
        let waited = timeout_at(deadline, self.state.lock()).await;
        waited.map_err(|_| OpenBaoError::new(Call::FindToken, Cause::Frozen))
    }

    async fn obtain(&self, state: &mut State, deadline: Instant) -> Result<Arc<Token>> {
        match &self.credential {
            Credential::Token(token) => self.adopt(state, token.clone(), deadline).await,
            Credential::TokenFile(path) => self.adopt(state, files::token(path).await?, deadline).await,
            Credential::AppRole { role_id, secret_id } => self.log_in(state, role_id, secret_id, deadline).await,
        }
    }

    /// Checks a token that was made elsewhere, and takes it.
    async fn adopt(&self, state: &mut State, secret: Secret<String>, deadline: Instant) -> Result<Arc<Token>> {
        let ask = Ask::new(Call::FindToken, Method::GET, "auth/token/lookup-self").token(&secret);
        let found: Found = self.link.call(&ask, deadline).await?.parse()?;
        let FoundToken { ttl, creation_ttl, period, renewable, orphan, policies, expire_time } = found.data;
        if policies.iter().any(|policy| policy == "root") {
            tracing::warn!("the OpenBAO token is a root token; use one with the rights of deploy/openbao/policy.hcl");
        } else if !orphan {
            tracing::warn!("the OpenBAO token is not an orphan: it and all leases end with the token that created it");
        }
        let (ttl, lifetime) = (Duration::from_secs(ttl), Duration::from_secs(period.max(creation_ttl)));
        let ends = expire_time.is_some();
        state.warned = false;
        if ends && period == 0 {
            self.warn_of_end(state, ttl);
        }
        state.lifetime = lifetime;
        // After two thirds of its life.
        let renew_in = (ends && renewable).then(|| ttl.saturating_sub(lifetime / 3));
        Ok(self.take(secret, renew_in))
    }

    async fn log_in(
        &self,
        state: &mut State,
        role_id: &Secret<String>,
        secret_id: &SecretId,
        deadline: Instant,
    ) -> Result<Arc<Token>> {
        let secret_id = state.wrapped.secret_id(&self.link, secret_id, deadline).await?;
        let body = json!({"role_id": role_id.expose(), "secret_id": secret_id.expose()});
        let secrets = [role_id, &secret_id];
        let ask = Ask::new(Call::LogIn, Method::POST, "auth/approle/login").body(body).secrets(&secrets);
        let granted = self.link.call(&ask, deadline).await.inspect_err(|error| {
            if error.cause == Cause::LoginRefused {
                state.wrapped.forget();
            }
        });
        let Granted { auth } = granted?.parse()?;
        state.lifetime = Duration::from_secs(auth.lease_duration);
        tracing::info!(valid_for = ?state.lifetime, "logged in to OpenBAO");
        let renew_in = (!state.lifetime.is_zero()).then(|| two_thirds(state.lifetime));
        Ok(self.take(auth.client_token, renew_in))
    }

    /// Makes a token the current one.
    fn take(&self, secret: Secret<String>, renew_in: Option<Duration>) -> Arc<Token> {
        self.renew_in(renew_in);
        if let Some(current) = self.current.load_full()
            && current.secret == secret
        {
            return current;
        }
        let generation = self.generation() + 1;
        let token = Arc::new(Token { secret, generation });
        self.current.store(Some(token.clone()));
        self.generation.store(generation, Ordering::Release);
        token
    }

    fn renew_in(&self, delay: Option<Duration>) {
        let at = delay.map(|delay| Instant::now() + delay);
        *self.renew_at.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    async fn renew(&self, state: &mut State, token: &Token, deadline: Instant) -> Result<()> {
        let logs_in = matches!(self.credential, Credential::AppRole { .. });
        let ask =
            Ask::new(Call::RenewToken, Method::POST, "auth/token/renew-self").token(&token.secret).body(json!({}));
        let renewed: Result<Granted> = match self.link.call(&ask, deadline).await {
            Ok(reply) => reply.parse(),
            Err(error) => Err(error),
        };
        match renewed {
            Ok(Granted { auth }) => {
                let left = Duration::from_secs(auth.lease_duration);
                self.renew_in(Some(two_thirds(left)));
                if left >= state.lifetime / 2 {
                    return Ok(());
                }
                // The token reaches its longest life.
                if logs_in {
                    return self.obtain(state, deadline).await.map(drop);
                }
                self.warn_of_end(state, left);
                Ok(())
            }
            Err(error) if logs_in && matches!(error.cause, Cause::TokenNotRenewable | Cause::TokenInvalid) => {
                self.obtain(state, deadline).await.map(drop)
            }
            Err(error) if error.cause == Cause::TokenNotRenewable => {
                self.renew_in(None);
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    fn warn_of_end(&self, state: &mut State, left: Duration) {
        if !std::mem::replace(&mut state.warned, true) {
            tracing::warn!(
                ?left,
                "the OpenBAO token ends and cannot be renewed; use a periodic one, as deploy/openbao/bootstrap.sh creates"
            );
        }
    }
}

fn two_thirds(whole: Duration) -> Duration {
    (whole * 2 / 3).max(SHORTEST)
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("generation", &self.generation()).finish_non_exhaustive()
    }
}
