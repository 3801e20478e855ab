//! Which tokens were revoked: by their id, or by a later epoch of their account.
//!
//! Every use of a token asks a snapshot in memory. The database keeps the revocations across restarts; a task reads new
//! ones at least every [`REFRESH`], and a revocation by this process is noted at once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use uuid::Uuid;

use super::tokens::{Claims, LEEWAY};

/// How old the snapshot may be.
pub const REFRESH: Duration = Duration::from_millis(500);

/// The revocations that are known. Cheap to clone; clones share them.
#[derive(Clone, Default)]
pub struct Revocations(Arc<Shared>);

#[derive(Default)]
struct Shared {
    current: ArcSwap<Snapshot>,
    /// Held while a new snapshot is made, so that no note is lost between two writers.
    writing: Mutex<()>,
}

#[derive(Clone, Default)]
struct Snapshot {
    /// Ends of revoked tokens, by token id.
    tokens: HashMap<String, i64>,
    /// Epochs of accounts.
    epochs: HashMap<Uuid, i64>,
}

/// A revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// Of one token.
    Token {
        /// Its id.
        id: String,
        /// When it ends by itself, in seconds since the epoch.
        expires_at: i64,
    },
    /// Of every token that an account was given in an earlier epoch.
    Account {
        /// The account.
        id: Uuid,
        /// Its epoch now.
        epoch: i64,
    },
}

impl Revocations {
    /// Whether our token was revoked.
    pub fn covers(&self, claims: &Claims) -> bool {
        let snapshot = self.0.current.load();
        snapshot.tokens.contains_key(&claims.jti)
            || claims
                .account
                .zip(claims.epoch)
                .is_some_and(|(account, epoch)| snapshot.epochs.get(&account).is_some_and(|current| *current > epoch))
    }

    /// Whether the token of that id was revoked.
    pub fn covers_id(&self, id: &str) -> bool {
        self.0.current.load().tokens.contains_key(id)
    }

    /// Adds revocations, and forgets those of tokens that ended before `now` anyway.
    pub fn note(&self, revocations: impl IntoIterator<Item = Revocation>, now: i64) {
        let _writing = self.0.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.0.current.load();
        let fresh: Vec<_> = revocations.into_iter().filter(|revocation| !old.knows(revocation)).collect();
        let stale = old.tokens.values().any(|end| is_over(*end, now));
        if fresh.is_empty() && !stale {
            return;
        }
        let mut next = Snapshot::clone(&old);
        next.tokens.retain(|_, end| !is_over(*end, now));
        fresh.into_iter().for_each(|revocation| next.add(revocation));
        self.0.current.store(Arc::new(next));
    }
}

impl Snapshot {
    fn knows(&self, revocation: &Revocation) -> bool {
        match revocation {
            Revocation::Token { id, .. } => self.tokens.contains_key(id),
            Revocation::Account { id, epoch } => self.epochs.get(id).is_some_and(|known| known >= epoch),
        }
    }

    fn add(&mut self, revocation: Revocation) {
        match revocation {
            Revocation::Token { id, expires_at } => drop(self.tokens.insert(id, expires_at)),
            Revocation::Account { id, epoch } => {
                let known = self.epochs.entry(id).or_insert(epoch);
                *known = epoch.max(*known);
            }
        }
    }
}

/// Whether a token is refused for its age alone, so that its revocation need not be kept. Twice the leeway, so that no
/// clock that is a little behind brings a revoked token back.
pub fn is_over(expires_at: i64, now: i64) -> bool {
    expires_at.saturating_add(2 * LEEWAY) < now
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

    #[test]
    fn a_token_is_revoked_by_its_id() {
        let (revocations, one, other) = (Revocations::default(), claims(None), claims(None));
        revocations.note([Revocation::Token { id: one.jti.clone(), expires_at: one.exp }], one.iat);
        assert!(revocations.covers(&one) && revocations.covers_id(&one.jti));
        assert!(!revocations.covers(&other));
    }

    #[test]
    fn an_account_revokes_what_it_was_given_before() {
        let (revocations, account) = (Revocations::default(), Uuid::now_v7());
        revocations.note([Revocation::Account { id: account, epoch: 2 }], 0);
        revocations.note([Revocation::Account { id: account, epoch: 1 }], 0);
        assert!(revocations.covers(&claims(Some((account, 1)))));
        assert!(!revocations.covers(&claims(Some((account, 2)))));
        assert!(!revocations.covers(&claims(Some((Uuid::now_v7(), 0)))));
    }

    #[test]
    fn what_has_ended_is_forgotten() {
        let (revocations, one) = (Revocations::default(), claims(None));
        revocations.note([Revocation::Token { id: one.jti.clone(), expires_at: one.exp }], one.iat);
        revocations.note([], one.exp + LEEWAY);
        assert!(revocations.covers(&one));
        revocations.note([], one.exp + 2 * LEEWAY + 1);
        assert!(!revocations.covers(&one));
    }
}
