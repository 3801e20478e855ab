//! Revoked tokens: by id, or by a later epoch of their account.
//!
//! Every use of a token checks a snapshot in memory. The database keeps the revocations across restarts. A job
//! reads those of other processes every [`REFRESH`], by revision and independent of any clock; a revocation by
//! this process takes effect with its commit.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use uuid::Uuid;

use super::tokens::{self, Claims, LEEWAY};
use crate::{
    base::{Error, Kind, Result, error::Reason},
    identity::sessions::revocations::{self, Revoked, Seen},
    store::Store,
};

pub use crate::store::Revocation;

/// How often revocations are read from the database: half of the time within which a revocation must take effect.
pub const REFRESH: Duration = Duration::from_millis(250);

/// How long a revocation is kept after its token expired, in seconds: the clock of a server that checks the
/// token may be behind the database's.
pub const KEPT: i64 = 24 * 3600;

/// The known revocations. Cheap to clone; clones share the state.
#[derive(Clone, Default)]
pub struct Revocations(Arc<Shared>);

#[derive(Default)]
struct Shared {
    current: ArcSwap<Snapshot>,
    /// Locked while a snapshot is replaced, so that concurrent writers do not lose revocations.
    writing: Mutex<()>,
}

#[derive(Clone, Default)]
struct Snapshot {
    /// Whether the database was read at all. Until then the validity of tokens is unknown.
    loaded: bool,
    /// Expiry of revoked tokens, by token id.
    tokens: HashMap<String, i64>,
    epochs: HashMap<Uuid, i64>,
}

impl Revocations {
    /// Fails if the token was revoked, or if revocations are not loaded yet.
    pub fn check(&self, claims: &Claims) -> Result<()> {
        let snapshot = self.0.current.load();
        let by_account = claims
            .account
            .zip(claims.epoch)
            .is_some_and(|(account, epoch)| snapshot.epochs.get(&account).is_some_and(|current| *current > epoch));
        snapshot.judge(by_account || snapshot.tokens.contains_key(&claims.jti))
    }

    /// Fails if the token with this id was revoked, or if revocations are not loaded yet.
    pub fn check_id(&self, id: &str) -> Result<()> {
        let snapshot = self.0.current.load();
        snapshot.judge(snapshot.tokens.contains_key(id))
    }

    /// Adds revocations read from the database, and forgets those of tokens that expired long before `now`, the
    /// database's time.
    pub fn note(&self, revocations: impl IntoIterator<Item = Revocation>, now: i64) {
        self.add(revocations, Some(now));
    }

    /// Receives the revocations of this process, which take effect at once.
    pub fn listener(&self) -> impl Fn(&[Revocation]) + Send + Sync + 'static {
        let revocations = self.clone();
        move |revoked| revocations.add(revoked.iter().cloned(), None)
    }

    /// Adds revocations. `now` is set for those read from the database.
    fn add(&self, revocations: impl IntoIterator<Item = Revocation>, now: Option<i64>) {
        let _writing = self.0.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.0.current.load();
        let is_over = |end: i64| now.is_some_and(|now| is_over(end, now));
        let fresh: Vec<_> = revocations.into_iter().filter(|revocation| !old.knows(revocation)).collect();
        let stale = old.tokens.values().any(|end| is_over(*end));
        let loaded = now.is_some() || old.loaded;
        if fresh.is_empty() && !stale && old.loaded == loaded {
            return;
        }
        let mut next = Snapshot { loaded, ..Snapshot::clone(&old) };
        next.tokens.retain(|_, end| !is_over(*end));
        fresh.into_iter().for_each(|revocation| next.add(revocation));
        self.0.current.store(Arc::new(next));
    }
}

impl Snapshot {
    fn judge(&self, revoked: bool) -> Result<()> {
        if revoked {
            return Err(tokens::revoked());
        }
        let message = "the database is unavailable; retry later";
        self.loaded.then_some(()).ok_or_else(|| Error::new(Kind::Unavailable, Reason::DatabaseUnavailable, message))
    }

    fn knows(&self, revocation: &Revocation) -> bool {
        match revocation {
            Revocation::Token { id, expires_at } => self.tokens.get(id).is_some_and(|known| known >= expires_at),
            Revocation::Account { id, epoch } => self.epochs.get(id).is_some_and(|known| known >= epoch),
            // API keys are cached elsewhere, with their own invalidation.
            Revocation::ApiKey { .. } => true,
        }
    }

    fn add(&mut self, revocation: Revocation) {
        match revocation {
            Revocation::Token { id, expires_at } => {
                let known = self.tokens.entry(id).or_insert(expires_at);
                *known = expires_at.max(*known);
            }
            Revocation::Account { id, epoch } => {
                let known = self.epochs.entry(id).or_insert(epoch);
                *known = epoch.max(*known);
            }
            Revocation::ApiKey { .. } => {}
        }
    }
}

/// Reads the revocations since `seen`, or all of them. Returns the new position.
pub async fn load(store: &Store, revocations: &Revocations, seen: Option<Seen>) -> Result<Seen> {
    let Revoked { tokens, accounts, seen, now } = revocations::revoked_after(store, seen.as_ref()).await?;
    let tokens = tokens.into_iter().map(|(id, expires_at)| Revocation::Token { id, expires_at });
    let accounts = accounts.into_iter().map(|(id, epoch)| Revocation::Account { id, epoch });
    revocations.note(tokens.chain(accounts), now.unix_timestamp());
    Ok(seen)
}

/// Deletes the revocations of tokens, and the sessions, that expired long ago, at most `most` of each. Returns their number.
pub async fn prune(store: &Store, most: u64) -> Result<u64> {
    // By the database's time: a server whose clock is ahead would delete revocations that still matter.
    let before = store.time().await? - time::Duration::seconds(KEPT + LEEWAY);
    revocations::prune(store, before, most).await
}

/// Whether a token expired so long ago that its revocation is no longer needed.
pub fn is_over(expires_at: i64, now: i64) -> bool {
    expires_at.saturating_add(KEPT) < now
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::Surface,
        base::{Clock, Role},
    };

    fn claims(account: Option<(Uuid, i64)>) -> Claims {
        let clock = Clock::system();
        let minted = Claims::minted("x".into(), Role::User, &[Surface::Native], Duration::from_secs(60), &clock);
        Claims { account: account.map(|a| a.0), epoch: account.map(|a| a.1), ..minted }
    }

    fn revoked(revocations: &Revocations, claims: &Claims) -> bool {
        revocations.check(claims).is_err_and(|error| error.reason == Reason::CredentialsRevoked)
    }

    #[test]
    fn no_token_is_valid_before_revocations_are_loaded() {
        let (revocations, one) = (Revocations::default(), claims(None));
        assert_eq!(revocations.check(&one).unwrap_err().kind, Kind::Unavailable);
        revocations.note([], one.iat);
        assert!(revocations.check(&one).is_ok());
    }

    #[test]
    fn a_revocation_by_this_process_does_not_count_as_loaded() {
        let (revocations, one, other) = (Revocations::default(), claims(None), claims(None));
        let tell = revocations.listener();
        tell(&[
            Revocation::Token { id: one.jti.clone(), expires_at: one.exp },
            Revocation::ApiKey { id: Uuid::now_v7() },
        ]);
        assert!(revoked(&revocations, &one));
        assert_eq!(revocations.check(&other).unwrap_err().kind, Kind::Unavailable);
    }

    #[test]
    fn a_token_is_revoked_by_its_id() {
        let (revocations, one, other) = (Revocations::default(), claims(None), claims(None));
        revocations.note([Revocation::Token { id: one.jti.clone(), expires_at: one.exp }], one.iat);
        assert!(revoked(&revocations, &one) && revocations.check_id(&one.jti).is_err());
        assert!(!revoked(&revocations, &other));
    }

    #[test]
    fn the_later_expiry_of_a_revocation_is_kept() {
        let (revocations, one) = (Revocations::default(), claims(None));
        for expires_at in [one.exp - 50, one.exp, one.exp - 50] {
            revocations.note([Revocation::Token { id: one.jti.clone(), expires_at }], one.iat);
        }
        revocations.note([], one.exp + KEPT - 1);
        assert!(revoked(&revocations, &one));
    }

    #[test]
    fn a_later_epoch_revokes_the_tokens_of_an_account() {
        let (revocations, account) = (Revocations::default(), Uuid::now_v7());
        revocations.note([Revocation::Account { id: account, epoch: 2 }], 0);
        revocations.note([Revocation::Account { id: account, epoch: 1 }], 0);
        assert!(revoked(&revocations, &claims(Some((account, 1)))));
        assert!(!revoked(&revocations, &claims(Some((account, 2)))));
        assert!(!revoked(&revocations, &claims(Some((Uuid::now_v7(), 0)))));
    }

    #[test]
    fn expired_revocations_are_forgotten() {
        let (revocations, one) = (Revocations::default(), claims(None));
        revocations.note([Revocation::Token { id: one.jti.clone(), expires_at: one.exp }], one.iat);
        revocations.note([], one.exp + KEPT);
        assert!(revoked(&revocations, &one), "a clock that is set back brings no revoked token back");
        revocations.note([], one.exp + KEPT + 1);
        assert!(!revoked(&revocations, &one));
    }
}
