//! Failed attempts slow the next ones down.
//!
//! Whoever fails from an address on an account waits longer with each failure, one attempt after the other. Besides, each
//! failure on an account, and each from an address, delays the next attempts there a little, whoever makes them, so that
//! neither many addresses nor many accounts help much. Nobody can lock another one out: what others did costs two seconds
//! at most.

use std::{
    hash::Hash,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use moka::sync::Cache;
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::base::{Error, Kind, Result, error::Reason};

/// Failures that cost nothing: people mistype.
const FREE: u32 = 3;
/// What the first failure after those costs; each further one costs twice as much.
const FIRST: Duration = Duration::from_millis(250);
/// The most that one's own failures cost.
const OWN_MOST: Duration = Duration::from_secs(8);
/// The most that failures of others cost.
const SHARED_MOST: Duration = Duration::from_secs(2);
/// The longest that an attempt waits for its turn; what would wait longer is told to come back.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long failures are remembered after the last one.
const MEMORY: Duration = Duration::from_secs(15 * 60);
/// Most accounts, addresses and pairs that are remembered, each.
const ENTRIES: u64 = 20_000;

/// Most attempts of an address that are worked on at a time: others find the door open meanwhile.
const AT_ONCE: usize = 8;

/// Who attempts what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// Digest of the account as the caller named it. It need not exist, and the name may be of any length.
    account: [u8; 32],
    /// Where the caller is, as far as one person has it: an IPv6 network of 64 bits is one subscriber's.
    address: Option<IpAddr>,
}

impl Attempt {
    /// An attempt on an account, by its place and name, from an address.
    pub fn new(account: &str, address: Option<IpAddr>) -> Self {
        let near = |address: IpAddr| match address {
            IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
            v4 => v4,
        };
        Self { account: Sha256::digest(account).into(), address: address.map(near) }
    }
}

/// The place of an attempt among those of its address; given back when it falls.
#[derive(Debug)]
pub struct Place {
    _permit: Option<OwnedSemaphorePermit>,
}

/// Failures of late, and when the next attempt may be made.
#[derive(Clone, Copy, Debug)]
struct Record {
    failures: u32,
    next: Instant,
}

/// Remembers failed attempts. Cheap to clone; clones share the memory. It is the process's own: a restart forgets.
#[derive(Clone)]
pub struct Throttle {
    own: Cache<Attempt, Record>,
    accounts: Cache<[u8; 32], u32>,
    addresses: Cache<IpAddr, u32>,
    places: Cache<IpAddr, Arc<Semaphore>>,
}

impl Default for Throttle {
    fn default() -> Self {
        fn cache<K: Hash + Eq + Send + Sync + 'static, V: Clone + Send + Sync + 'static>() -> Cache<K, V> {
            Cache::builder().max_capacity(ENTRIES).time_to_live(MEMORY).build()
        }
        Self { own: cache(), accounts: cache(), addresses: cache(), places: cache() }
    }
}

impl Throttle {
    /// Waits until the attempt may be made. Fails with RESOURCE_EXHAUSTED, and says when to come back, if that is too long,
    /// or if too many attempts of the address are being worked on.
    pub async fn wait(&self, attempt: &Attempt) -> Result<Place> {
        tokio::time::sleep(self.turn(attempt, Instant::now())?).await;
        let Some(address) = attempt.address else { return Ok(Place { _permit: None }) };
        let places = self.places.get_with(address, || Arc::new(Semaphore::new(AT_ONCE)));
        let permit = places.try_acquire_owned().map_err(|_| too_many(Duration::ZERO))?;
        Ok(Place { _permit: Some(permit) })
    }

    /// How long an attempt of this moment waits for its turn.
    fn turn(&self, attempt: &Attempt, now: Instant) -> Result<Duration> {
        let shared = self.accounts.get(&attempt.account).unwrap_or_default();
        let shared = shared.max(attempt.address.and_then(|address| self.addresses.get(&address)).unwrap_or_default());
        let mut turn = now + cost(shared, SHARED_MOST);
        if let Some(record) = self.own.get(attempt) {
            turn = turn.max(record.next);
            let wait = turn.duration_since(now);
            if wait > PATIENCE {
                return Err(too_many(wait));
            }
            // The next one waits for this one's turn and its own.
            self.own.insert(attempt.clone(), Record { next: turn + cost(record.failures, OWN_MOST), ..record });
        }
        Ok(turn.duration_since(now))
    }

    /// Notes that the attempt failed.
    pub fn failed(&self, attempt: &Attempt) {
        self.failed_at(attempt, Instant::now());
    }

    fn failed_at(&self, attempt: &Attempt, now: Instant) {
        bump(&self.accounts, attempt.account);
        if let Some(address) = attempt.address {
            bump(&self.addresses, address);
        }
        let record = self.own.get(attempt);
        let failures = record.map_or(0, |record| record.failures).saturating_add(1);
        let next = (now + cost(failures, OWN_MOST)).max(record.map_or(now, |record| record.next));
        self.own.insert(attempt.clone(), Record { failures, next });
    }

    /// Notes that it succeeded: who knows the password need not wait for it again.
    pub fn succeeded(&self, attempt: &Attempt) {
        self.own.invalidate(attempt);
    }
}

fn bump<K: Hash + Eq + Send + Sync + 'static>(counts: &Cache<K, u32>, key: K) {
    let count = counts.get(&key).unwrap_or_default();
    counts.insert(key, count.saturating_add(1));
}

/// What so many failures cost the next attempt.
fn cost(failures: u32, most: Duration) -> Duration {
    match failures.checked_sub(FREE) {
        None | Some(0) => Duration::ZERO,
        Some(over) => FIRST.saturating_mul(1 << (over - 1).min(16)).min(most),
    }
}

/// Too many failures of late.
pub fn too_many(wait: Duration) -> Error {
    let seconds = wait.as_secs() + 1;
    let message = format!("too many failed attempts; retry in {seconds} seconds");
    Error::new(Kind::ResourceExhausted, Reason::TooManyAttempts, message).retry_after(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn attempt(account: &str, last: u8) -> Attempt {
        Attempt::new(account, Some(Ipv4Addr::new(192, 0, 2, last).into()))
    }

    #[test]
    fn each_failure_makes_the_next_attempt_wait_longer() {
        let (throttle, mine, mut now) = (Throttle::default(), attempt("ada", 1), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..7 {
            let wait = throttle.turn(&mine, now).unwrap();
            waits.push(wait);
            now += wait;
            throttle.failed_at(&mine, now);
        }
        assert!(waits[..4].iter().all(|wait| *wait < FIRST), "{waits:?}");
        assert!(waits[4..].windows(2).all(|pair| pair[0] < pair[1]), "{waits:?}");
    }

    #[test]
    fn attempts_at_once_wait_one_after_the_other_until_they_are_refused() {
        let (throttle, mine, now) = (Throttle::default(), attempt("ada", 1), Instant::now());
        (0..6).for_each(|_| throttle.failed_at(&mine, now));
        let waits: Vec<_> = (0..40).map(|_| throttle.turn(&mine, now)).collect();
        let admitted: Vec<_> = waits.iter().flatten().collect();
        assert!(admitted.windows(2).all(|pair| pair[0] < pair[1]), "{admitted:?}");
        assert!(admitted.len() < 20 && admitted.iter().all(|wait| **wait <= PATIENCE), "{admitted:?}");
        let refused = waits.iter().find_map(|wait| wait.as_ref().err()).unwrap();
        assert_eq!(refused.reason, Reason::TooManyAttempts);
    }

    #[test]
    fn what_others_did_costs_two_seconds_at_most() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        (0..1000).for_each(|n| throttle.failed_at(&attempt("ada", (n % 200) as u8 + 2), now));
        assert!(throttle.turn(&attempt("ada", 1), now).unwrap() <= SHARED_MOST);
        assert!(throttle.turn(&attempt("bob", 1), now).unwrap() < FIRST);
    }

    #[test]
    fn a_success_forgets_ones_own_failures() {
        let (throttle, mine, now) = (Throttle::default(), attempt("ada", 1), Instant::now());
        (0..9).for_each(|_| throttle.failed_at(&mine, now));
        throttle.succeeded(&mine);
        assert!(throttle.turn(&mine, now).unwrap() <= SHARED_MOST);
    }

    #[tokio::test]
    async fn one_address_leaves_the_door_open_for_others() {
        let throttle = Throttle::default();
        let held = futures::future::join_all((0..20).map(|_| async { throttle.wait(&attempt("ada", 1)).await })).await;
        assert_eq!(held.iter().filter(|place| place.is_ok()).count(), AT_ONCE);
        assert!(throttle.wait(&attempt("ada", 2)).await.is_ok());
        drop(held);
        assert!(throttle.wait(&attempt("ada", 1)).await.is_ok());
    }
}
