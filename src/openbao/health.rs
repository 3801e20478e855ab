//! Whether OpenBAO can be used.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::Method;
use serde::Deserialize;
use tokio::time::Instant;

use super::{
    call::Call,
    error::{Cause, OpenBaoError, Result},
    link::{Ask, Link},
};

/// How often the health is checked, and how long a check may take.
const PERIOD: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(3);

/// The result of the last check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Not checked yet.
    Unknown,
    /// The server's token is valid, and its policy allows what was checked.
    Ok,
    Failing(Cause),
}

impl Health {
    /// One word for `/readyz?verbose`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ok => "ok",
            Self::Failing(cause) => cause.word(),
        }
    }
}

/// The result of the last check, and when the next one is due.
pub(super) struct Monitor(Mutex<(Health, Instant)>);

impl Monitor {
    pub fn new() -> Self {
        Self(Mutex::new((Health::Unknown, Instant::now())))
    }

    pub fn health(&self) -> Health {
        self.state().0
    }

    pub fn is_due(&self) -> bool {
        self.state().1 <= Instant::now()
    }

    /// Makes the next check due now, because a call failed.
    pub fn doubt(&self) {
        self.state().1 = Instant::now();
    }

    pub fn record(&self, health: Health) {
        *self.state() = (health, Instant::now() + PERIOD);
    }

    fn state(&self) -> MutexGuard<'_, (Health, Instant)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Deserialize)]
struct Status {
    initialized: bool,
    sealed: bool,
}

/// Fails if the server cannot be reached, is sealed or is not initialized. Needs no token. A standby passes: it forwards calls, and
/// if it cannot, the next call says so. Success does not mean that credentials can be leased.
pub(super) async fn check(link: &Link, deadline: Instant) -> Result<()> {
    let deadline = deadline.min(Instant::now() + LIMIT);
    let reply = link.once(&Ask::new(Call::CheckHealth, Method::GET, "sys/health"), deadline).await?;
    let failed = |cause| Err(OpenBaoError::new(Call::CheckHealth, cause));
    match reply.parse() {
        Ok(Status { initialized: false, .. }) => failed(Cause::NotInitialized),
        Ok(Status { sealed: true, .. }) => failed(Cause::Sealed),
        Ok(_) => Ok(()),
        Err(_) if reply.status == 429 => failed(Cause::RateLimited),
        Err(_) if reply.status >= 500 => failed(Cause::Failed(reply.status)),
        Err(error) => Err(error),
    }
}
