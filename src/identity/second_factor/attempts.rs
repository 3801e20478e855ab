//! Limits failed attempts: a number of them in a time window (zero-trust contract, section 9).

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use quick_cache::{UnitWeighter, sync::Cache};
use uuid::Uuid;

use crate::base::Result;
use crate::identity::backoff::too_many;

/// Maximum number of attempts within [`WINDOW`].
const MOST: usize = 5;
const WINDOW: Duration = Duration::from_secs(15 * 60);
/// Maximum number of accounts remembered.
const ENTRIES: u64 = 20_000;
/// Number of accounts for which space is allocated at once.
const INITIAL_ENTRIES: usize = 64;

/// Attempts by account. Cheap to clone; clones share the state, which is in memory and lost on restart.
#[derive(Clone)]
pub struct Attempts(Arc<Cache<Uuid, Arc<Mutex<Vec<Instant>>>>>);

impl Default for Attempts {
    fn default() -> Self {
        Self(Arc::new(Cache::with_weighter(INITIAL_ENTRIES, ENTRIES, UnitWeighter)))
    }
}

impl Attempts {
    /// Counts an attempt before it is made, so that concurrent attempts cannot exceed the limit. Fails with
    /// RESOURCE_EXHAUSTED and a retry time after too many.
    pub fn begin(&self, account: Uuid) -> Result<()> {
        self.begin_at(account, Instant::now())
    }

    fn begin_at(&self, account: Uuid, now: Instant) -> Result<()> {
        let Ok(counted) = self.0.get_or_insert_with(&account, || Ok::<_, Infallible>(Arc::default()));
        let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.retain(|at| now.duration_since(*at) < WINDOW);
        match counted.first() {
            Some(first) if counted.len() >= MOST => Err(too_many(WINDOW.saturating_sub(now.duration_since(*first)))),
            _ => {
                counted.push(now);
                Ok(())
            }
        }
    }

    /// Forgets the attempts on an account after a success.
    pub fn succeeded(&self, account: Uuid) {
        self.0.remove(&account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Reason;

    #[test]
    fn at_most_five_attempts_in_fifteen_minutes() {
        let (attempts, one, other, start) =
            (Attempts::default(), Uuid::from_u128(1), Uuid::from_u128(2), Instant::now());
        for _ in 0..MOST {
            attempts.begin_at(one, start).unwrap();
        }
        let refused = attempts.begin_at(one, start + Duration::from_secs(60)).unwrap_err();
        assert_eq!(refused.reason, Reason::TooManyAttempts);
        assert!(attempts.begin_at(other, start).is_ok());
        assert!(attempts.begin_at(one, start + WINDOW).is_ok());
    }

    #[test]
    fn a_success_clears_them() {
        let (attempts, one) = (Attempts::default(), Uuid::from_u128(1));
        (0..MOST).for_each(|_| attempts.begin(one).unwrap());
        attempts.succeeded(one);
        assert!(attempts.begin(one).is_ok());
    }
}
