//! Backoff after failed attempts.
//!
//! Each failure of an address on an account makes its next attempt on that account wait longer, and such
//! attempts run one after the other. In addition, failures on an account, and failures from an address, add a
//! small delay to every further attempt there, so that spreading attempts over many addresses or many accounts
//! gains little. Nobody can lock out another client: failures of others add at most two seconds.
//!
//! Failures are counted for the account that an attempt resolves to, not for the text it was given, so that all
//! spellings, the name, the address and the id of an account share one count. (A client that tries two
//! spellings often enough can learn that they are one account; allowing more attempts under more names would be
//! worse.) A waiting attempt does not occupy a slot that other calls need ([`Cx::aside`]).

use std::{
    hash::Hash,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::base::{Cx, Error, ExpiringCache, Kind, Result, error::Reason, subscriber};
use crate::identity::{
    accounts::address_gate::{Gate, Gates, NARROW_FROM, Slot},
    accounts::unknown_name,
};

/// Failures without a delay: people mistype.
const FREE_FAILURES: u32 = 3;
/// Delay after the first failure beyond [`FREE_FAILURES`]; doubles with each further one.
const BASE_DELAY: Duration = Duration::from_millis(250);
/// Maximum delay for a client's own failures.
const MAX_OWN_DELAY: Duration = Duration::from_secs(8);
/// Maximum delay for failures of others.
const MAX_SHARED_DELAY: Duration = Duration::from_secs(2);
/// Maximum delay of a refusal for an address that was refused repeatedly.
const MAX_REFUSAL_DELAY: Duration = Duration::from_secs(8);
/// Longest wait of an attempt; one that would wait longer is refused with a retry time.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// How long failures are remembered after the last one.
const MEMORY: Duration = Duration::from_secs(15 * 60);
/// Maximum number of accounts, addresses and pairs remembered, each.
const ENTRIES: u64 = 20_000;

/// The part of a client's address that identifies a subscriber: for IPv6 the /64 network. Clients whose address
/// a proxy does not forward share the proxy's address.
type Origin = Option<IpAddr>;

/// The account and the origin of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// A digest, because the text of a caller is not kept and can have any length.
    account: [u8; 32],
    origin: Origin,
}

impl Attempt {
    /// An attempt on an existing account.
    pub fn on(account: Uuid, address: Option<IpAddr>) -> Self {
        Self {
            account: Sha256::new_with_prefix(b"account").chain_update(account.as_bytes()).finalize().into(),
            origin: address.map(subscriber),
        }
    }

    /// An attempt on an account that does not exist, by the tenant and the name given.
    pub fn on_unknown(tenant: &str, name: &str, address: Option<IpAddr>) -> Self {
        let text = format!("{tenant}/{}", unknown_name::normal(name));
        Self {
            account: Sha256::new_with_prefix(b"name").chain_update(text).finalize().into(),
            origin: address.map(subscriber),
        }
    }
}

/// An attempt that may look up its account.
#[derive(Debug)]
pub struct Arrival {
    at: Instant,
    origin: Origin,
    gate: Arc<Gate>,
    slot: Option<Slot>,
}

/// An attempt that may verify its credentials. Dropping it without a result counts as a failure.
#[must_use]
#[derive(Debug)]
pub struct Turn<'t> {
    throttle: &'t Throttle,
    attempt: Attempt,
    /// None once the result was recorded.
    slot: Option<Slot>,
    /// Whether the attempt had to wait, so that the account may have changed since it was looked up.
    pub waited: bool,
    /// Whether it comes from an address with many failures.
    pub throttled: bool,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    failures: u32,
    next: Instant,
}

/// Remembers failed attempts. Cheap to clone; clones share the state, which is in memory and lost on restart.
#[derive(Clone, Debug)]
pub struct Throttle {
    own: ExpiringCache<Attempt, Record>,
    accounts: ExpiringCache<[u8; 32], u32>,
    addresses: ExpiringCache<Origin, u32>,
    /// Refused attempts by address.
    refused: ExpiringCache<Origin, u32>,
    gates: Gates,
}

impl Default for Throttle {
    fn default() -> Self {
        fn cache<K: Hash + Eq, V: Clone>() -> ExpiringCache<K, V> {
            ExpiringCache::new(ENTRIES, MEMORY)
        }
        Self { own: cache(), accounts: cache(), addresses: cache(), refused: cache(), gates: Gates::new(ENTRIES) }
    }
}

impl Throttle {
    /// Waits for the delay of the address and for a slot among its attempts; without a slot not even the account is
    /// looked up. Fails with RESOURCE_EXHAUSTED and a retry time if too many attempts are waiting.
    pub async fn approach(&self, cx: &Cx) -> Result<Arrival> {
        let origin = cx.counted_as().map(subscriber);
        let gate = self.gates.of(origin);
        let mut arrival = Arrival { at: Instant::now(), origin, gate, slot: None };
        let failures = self.addresses.get(&origin).unwrap_or_default();
        self.enter(cx, &mut arrival, delay(failures, MAX_SHARED_DELAY)).await?;
        Ok(arrival)
    }

    /// Waits until the attempt may verify its credentials. Fails with RESOURCE_EXHAUSTED and a retry time if the
    /// wait would be too long, or if too many attempts of the address are in progress.
    pub async fn wait(&self, cx: &Cx, mut arrival: Arrival, attempt: Attempt) -> Result<Turn<'_>> {
        let since = match self.turn(&attempt, arrival.at) {
            Ok(since) => since,
            Err(wait) => {
                arrival.slot = None;
                return Err(self.refuse(cx, &arrival, wait).await);
            }
        };
        let waited = arrival.at.elapsed() < since;
        if waited {
            // Frees the slot for other attempts of the address while this one waits.
            arrival.slot = None;
            self.enter(cx, &mut arrival, since).await?;
        }
        let slot = arrival.slot.take().ok_or_else(|| Error::internal("an attempt without a slot"))?;
        Ok(Turn { throttle: self, attempt, slot: Some(slot), waited, throttled: self.is_narrow(arrival.origin) })
    }

    /// Sleeps until `since` after the arrival, then passes the gate of the address.
    async fn enter(&self, cx: &Cx, arrival: &mut Arrival, since: Duration) -> Result<()> {
        let gate = arrival.gate.clone();
        let narrow = self.is_narrow(arrival.origin);
        let left = since.saturating_sub(arrival.at.elapsed());
        arrival.slot = if left.is_zero() && !narrow {
            gate.pass(false).await
        } else {
            let _asleep = gate.sleep().ok_or_else(|| too_many(MAX_SHARED_DELAY))?;
            let waiting = async {
                tokio::time::sleep(left).await;
                gate.pass(narrow).await
            };
            cx.aside(waiting).await?
        };
        match arrival.slot {
            Some(_) => Ok(()),
            None => Err(self.refuse(cx, arrival, Duration::ZERO).await),
        }
    }

    /// Whether the address has so many failures that its attempts run one at a time.
    fn is_narrow(&self, origin: Origin) -> bool {
        self.addresses.get(&origin).unwrap_or_default() >= NARROW_FROM
    }

    /// The error for a refused attempt. Addresses that were refused repeatedly get it after a delay, which slows
    /// clients that retry at once.
    async fn refuse(&self, cx: &Cx, arrival: &Arrival, wait: Duration) -> Error {
        let refused = bump(&self.refused, arrival.origin);
        let left = delay(refused, MAX_REFUSAL_DELAY).saturating_sub(arrival.at.elapsed());
        if let Some(_asleep) = arrival.gate.sleep().filter(|_| !left.is_zero()) {
            cx.rest(left).await;
        }
        too_many(wait)
    }

    /// How long after `now` the attempt may proceed; as an error, the wait that exceeds the limit.
    fn turn(&self, attempt: &Attempt, now: Instant) -> Result<Duration, Duration> {
        let shared = self.accounts.get(&attempt.account).unwrap_or_default();
        let shared = shared.max(self.addresses.get(&attempt.origin).unwrap_or_default());
        let mut turn = now + delay(shared, MAX_SHARED_DELAY);
        if let Some(record) = self.own.get(attempt) {
            turn = turn.max(record.next);
            let wait = turn.duration_since(now);
            if wait > MAX_WAIT {
                return Err(wait);
            }
            // The next attempt waits for this one's turn and for its own delay.
            self.own.insert(*attempt, Record { next: turn + delay(record.failures, MAX_OWN_DELAY), ..record });
        }
        Ok(turn.duration_since(now))
    }

    fn failed_at(&self, attempt: &Attempt, now: Instant) {
        bump(&self.accounts, attempt.account);
        bump(&self.addresses, attempt.origin);
        let record = self.own.get(attempt);
        let failures = record.map_or(0, |record| record.failures).saturating_add(1);
        let next = (now + delay(failures, MAX_OWN_DELAY)).max(record.map_or(now, |record| record.next));
        self.own.insert(*attempt, Record { failures, next });
    }

    fn succeeded(&self, attempt: &Attempt) {
        self.own.remove(attempt);
    }
}

impl Turn<'_> {
    /// Records a failure.
    pub fn failed(mut self) {
        self.fail();
    }

    /// Records a success and clears the client's own failures on the account.
    pub fn succeeded(mut self) {
        self.slot = None;
        self.throttle.succeeded(&self.attempt);
    }

    /// Records neither, for an attempt that an internal error ended.
    pub fn inconclusive(mut self) {
        self.slot = None;
    }

    fn fail(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.throttle.failed_at(&self.attempt, Instant::now());
            slot.failed();
        }
    }
}

impl Drop for Turn<'_> {
    /// A call that ends early, by its deadline or a disconnect, counts as a failure, or backoff could be evaded
    /// that way.
    fn drop(&mut self) {
        self.fail();
    }
}

fn bump<K: Hash + Eq + Send + Sync + 'static>(counts: &ExpiringCache<K, u32>, key: K) -> u32 {
    let count = counts.get(&key).unwrap_or_default().saturating_add(1);
    counts.insert(key, count);
    count
}

/// The delay after a number of failures.
fn delay(failures: u32, most: Duration) -> Duration {
    match failures.checked_sub(FREE_FAILURES) {
        None | Some(0) => Duration::ZERO,
        Some(over) => BASE_DELAY.saturating_mul(1 << (over - 1).min(16)).min(most),
    }
}

pub fn too_many(wait: Duration) -> Error {
    let seconds = wait.as_secs() + 1;
    let message = format!("too many failed attempts; retry in {seconds} seconds");
    Error::new(Kind::ResourceExhausted, Reason::TooManyAttempts, message).retry_after(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::base::IdKind;

    fn attempt(account: &str, last: u8) -> Attempt {
        Attempt::on_unknown("acme", account, Some(Ipv4Addr::new(192, 0, 2, last).into()))
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
        assert!(waits[..4].iter().all(|wait| *wait < BASE_DELAY), "{waits:?}");
        assert!(waits[4..].windows(2).all(|pair| pair[0] < pair[1]), "{waits:?}");
    }

    #[test]
    fn concurrent_attempts_queue_until_they_are_refused() {
        let (throttle, mine, now) = (Throttle::default(), attempt("ada", 1), Instant::now());
        (0..6).for_each(|_| throttle.failed_at(&mine, now));
        let waits: Vec<_> = (0..40).map(|_| throttle.turn(&mine, now)).collect();
        let admitted: Vec<_> = waits.iter().flatten().collect();
        assert!(admitted.windows(2).all(|pair| pair[0] < pair[1]), "{admitted:?}");
        assert!(admitted.len() < 20 && admitted.iter().all(|wait| **wait <= MAX_WAIT), "{admitted:?}");
        assert!(waits.iter().flat_map(|wait| wait.as_ref().err()).all(|wait| *wait > MAX_WAIT));
    }

    #[test]
    fn failures_of_others_delay_at_most_two_seconds() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        (0..1000).for_each(|n| throttle.failed_at(&attempt("ada", (n % 200) as u8 + 2), now));
        assert!(throttle.turn(&attempt("ada", 1), now).unwrap() <= MAX_SHARED_DELAY);
        assert!(throttle.turn(&attempt("bob", 1), now).unwrap() < BASE_DELAY);
    }

    #[test]
    fn a_success_clears_the_clients_own_failures() {
        let (throttle, mine, now) = (Throttle::default(), attempt("ada", 1), Instant::now());
        (0..9).for_each(|_| throttle.failed_at(&mine, now));
        throttle.succeeded(&mine);
        assert!(throttle.turn(&mine, now).unwrap() <= MAX_SHARED_DELAY);
    }

    fn cx(last: u8) -> Cx {
        let client = Some(Ipv4Addr::new(192, 0, 2, last).into());
        let system = Cx::system("test", crate::base::Clock::system());
        Cx::new(crate::base::cx::CxFacts { client, ..crate::base::cx::CxFacts::clone(&system) })
    }

    async fn turn<'t>(throttle: &'t Throttle, account: &str, last: u8) -> Result<Turn<'t>> {
        let arrival = throttle.approach(&cx(last)).await?;
        throttle.wait(&cx(last), arrival, attempt(account, last)).await
    }

    #[tokio::test]
    async fn one_address_does_not_block_others() {
        let throttle = Throttle::default();
        let turns = futures::future::join_all((0..11).map(|n| turn(&throttle, ["a", "b", "c"][n % 3], 1))).await;
        assert_eq!(
            turns.iter().filter(|turn| turn.is_ok()).count(),
            crate::identity::accounts::address_gate::MAX_CONCURRENT
        );
        assert!(turn(&throttle, "ada", 2).await.is_ok());
        drop(turns);
        assert!(turn(&throttle, "ada", 1).await.is_ok());
    }

    #[tokio::test]
    async fn an_abandoned_attempt_counts_as_a_failure() {
        for (leave, delay) in
            [((|turn| drop(turn)) as fn(Turn<'_>), BASE_DELAY), (|turn| turn.inconclusive(), Duration::ZERO)]
        {
            let throttle = Throttle::default();
            for _ in 0..=FREE_FAILURES {
                leave(turn(&throttle, "ada", 1).await.unwrap());
            }
            assert_eq!(throttle.turn(&attempt("ada", 1), Instant::now()).unwrap() >= BASE_DELAY, delay == BASE_DELAY);
        }
    }

    #[tokio::test]
    async fn clients_with_unknown_addresses_share_the_proxys_count() {
        let throttle = Throttle::default();
        let behind = |last: u8| {
            let peer = Some(Ipv4Addr::new(10, 0, 0, last).into());
            let facts = crate::base::cx::CxFacts::clone(&cx(1));
            Cx::new(crate::base::cx::CxFacts { client: None, peer, ..facts })
        };
        let attempt_behind = async |cx: Cx| {
            let arrival = throttle.approach(&cx).await?;
            throttle.wait(&cx, arrival, Attempt::on_unknown("acme", "ada", cx.counted_as())).await
        };
        let turns = futures::future::join_all((0..11).map(|_| attempt_behind(behind(1)))).await;
        let admitted = turns.iter().filter(|turn| turn.is_ok()).count();
        assert_eq!(admitted, crate::identity::accounts::address_gate::MAX_CONCURRENT, "they have one gate");
        assert!(attempt_behind(behind(2)).await.is_ok(), "and those behind another proxy have another one");
    }

    #[test]
    fn all_spellings_of_a_name_are_one_account() {
        let of = |name: &str| Attempt::on_unknown("acme", name, None);
        for same in ["v@\u{ff45}xample.com", " V@EXAMPLE.COM", "v@e\u{ff58}ample.com"] {
            assert_eq!(of(same), of("v@example.com"), "{same:?}");
        }
        let id = Uuid::now_v7();
        let shown = IdKind::User.show(id);
        assert_eq!(of(&shown.to_lowercase()), of(&shown));
        assert_ne!(of("v@example.com"), of("w@example.com"));
        assert_ne!(Attempt::on_unknown("acme", "v", None), Attempt::on_unknown("other", "v", None));
        let network = |text: &str| Attempt::on(id, Some(text.parse().unwrap()));
        assert_eq!(network("2001:db8::1"), network("2001:db8::2:3"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), Attempt::on(id, None));
    }

    /// Records whether its call has left its place.
    #[derive(Debug, Default)]
    struct RecordedSeat(std::sync::atomic::AtomicBool);

    impl crate::base::seat::Seat for RecordedSeat {
        fn leave(&self) {
            self.0.store(true, std::sync::atomic::Ordering::SeqCst);
        }

        fn take(&self) -> bool {
            self.0.store(false, std::sync::atomic::Ordering::SeqCst);
            true
        }
    }

    #[tokio::test]
    async fn a_waiting_attempt_holds_no_slot() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        (0..5).for_each(|_| throttle.failed_at(&attempt("ada", 1), now));
        let recorded = Arc::new(RecordedSeat::default());
        let seat = Some(crate::base::seat::Seated(recorded.clone()));
        let cx = Cx::new(crate::base::cx::CxFacts { seat, ..crate::base::cx::CxFacts::clone(&cx(1)) });
        let left = || recorded.0.load(std::sync::atomic::Ordering::SeqCst);
        let waiting = async {
            let arrival = throttle.approach(&cx).await.unwrap();
            throttle.wait(&cx, arrival, attempt("ada", 1)).await.map(drop)
        };
        let mut waiting = Box::pin(waiting);
        assert!(futures::poll!(waiting.as_mut()).is_pending() && left(), "it sleeps without a place");
        waiting.await.unwrap();
        assert!(!left(), "and has one again");
    }
}
