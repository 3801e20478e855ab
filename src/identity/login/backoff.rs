//! Failed attempts slow the next ones down.
//!
//! Whoever fails from an address on an account waits longer with each failure, one attempt after the other. Besides, each
//! failure on an account, and each from an address, delays the next attempts there a little, whoever makes them, so that
//! neither many addresses nor many accounts help much. Nobody can lock another one out: what others did costs two seconds
//! at most. An account is counted by what the attempt's words lead to, not by the words, so that other spellings of it, its
//! name, its address and its id have one count. (That two spellings share a count tells that they are one account to who
//! tries both often enough; that an account could be tried more often under more names would be worse.) Whoever waits
//! holds no place that others need ([`Cx::aside`]).

use std::{
    hash::Hash,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use moka::sync::Cache;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::base::{Cx, Error, IdKind, Kind, Result, error::Reason, names::fold, subscriber};
use crate::identity::{
    Email,
    accounts::address_gate::{Gate, NARROW_FROM, Place},
};

/// Failures that cost nothing: people mistype.
const FREE: u32 = 3;
/// What the first failure after those costs; each further one costs twice as much.
const FIRST: Duration = Duration::from_millis(250);
/// The most that one's own failures cost.
const OWN_MOST: Duration = Duration::from_secs(8);
/// The most that failures of others cost.
const SHARED_MOST: Duration = Duration::from_secs(2);
/// The most that a refusal waits for at an address that was refused again and again.
const REFUSED_MOST: Duration = Duration::from_secs(8);
/// The longest that an attempt waits for its turn; what would wait longer is told to come back.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long failures are remembered after the last one.
const MEMORY: Duration = Duration::from_secs(15 * 60);
/// Most accounts, addresses and pairs that are remembered, each.
const ENTRIES: u64 = 20_000;

/// Where a caller is, as far as one person has it: an IPv6 network of 64 bits is one subscriber's. Those whom a proxy does not
/// tell are where it is.
type Near = Option<IpAddr>;

/// Who attempts what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// Digest of what is attempted: nobody's words are kept, and they may be of any length.
    account: [u8; 32],
    near: Near,
}

impl Attempt {
    /// An attempt on an account that exists, from an address.
    pub fn on(account: Uuid, address: Option<IpAddr>) -> Self {
        Self {
            account: Sha256::new_with_prefix(b"account").chain_update(account.as_bytes()).finalize().into(),
            near: address.map(subscriber),
        }
    }

    /// An attempt on an account that does not exist, by its place and the words that name it, from an address.
    pub fn named(place: &str, name: &str, address: Option<IpAddr>) -> Self {
        let text = format!("{place}/{}", normal(name));
        Self {
            account: Sha256::new_with_prefix(b"name").chain_update(text).finalize().into(),
            near: address.map(subscriber),
        }
    }
}

/// The words that name an account as they would be looked up, so that it does not show in the delays that there is none.
fn normal(name: &str) -> String {
    let name = name.trim();
    match (IdKind::User.read(name), Email::read(name)) {
        (Some(id), _) => IdKind::User.show(id),
        (None, Ok(email)) => email.key().to_owned(),
        (None, Err(_)) => fold(name),
    }
}

/// An attempt that may look up on what it is made.
#[derive(Debug)]
pub struct Arrival {
    at: Instant,
    near: Near,
    gate: Arc<Gate>,
    place: Option<Place>,
}

/// The turn of an attempt. It ends when it falls, or with what became of the attempt.
#[must_use]
#[derive(Debug)]
pub struct Turn<'t> {
    throttle: &'t Throttle,
    attempt: Attempt,
    /// None once it is known what became of the attempt.
    place: Option<Place>,
    /// Whether it came after a while, in which things may have changed.
    pub waited: bool,
    /// Whether it comes from where many have failed.
    pub apart: bool,
}

/// Failures of late, and when the next attempt may be made.
#[derive(Clone, Copy, Debug)]
struct Record {
    failures: u32,
    next: Instant,
}

/// Remembers failed attempts. Cheap to clone; clones share the memory. It is the process's own: a restart forgets.
#[derive(Clone, Debug)]
pub struct Throttle {
    own: Cache<Attempt, Record>,
    accounts: Cache<[u8; 32], u32>,
    addresses: Cache<Near, u32>,
    /// Attempts from addresses that were told to come back.
    refused: Cache<Near, u32>,
    gates: Cache<Near, Arc<Gate>>,
}

impl Default for Throttle {
    fn default() -> Self {
        fn cache<K: Hash + Eq + Send + Sync + 'static, V: Clone + Send + Sync + 'static>() -> Cache<K, V> {
            Cache::builder().max_capacity(ENTRIES).time_to_live(MEMORY).build()
        }
        // A gate lives as long as somebody comes to it: those who wait before it must not find another one.
        let gates = Cache::builder().max_capacity(ENTRIES).time_to_idle(MEMORY).build();
        Self { own: cache(), accounts: cache(), addresses: cache(), refused: cache(), gates }
    }
}

impl Throttle {
    /// Waits as long as failures from the address cost, and for a place among its attempts: not even a look-up is made
    /// without one. Fails with RESOURCE_EXHAUSTED, and says when to come back, if too many wait.
    pub async fn approach(&self, cx: &Cx) -> Result<Arrival> {
        let near = cx.counted_as().map(subscriber);
        let gate = self.gates.get_with(near, Arc::default);
        let mut arrival = Arrival { at: Instant::now(), near, gate, place: None };
        let failures = self.addresses.get(&near).unwrap_or_default();
        self.enter(cx, &mut arrival, cost(failures, SHARED_MOST)).await?;
        Ok(arrival)
    }

    /// Waits until the attempt may be made. Fails with RESOURCE_EXHAUSTED, and says when to come back, if that is too long,
    /// or if too many attempts of the address are being worked on.
    pub async fn wait(&self, cx: &Cx, mut arrival: Arrival, attempt: Attempt) -> Result<Turn<'_>> {
        let since = match self.turn(&attempt, arrival.at) {
            Ok(since) => since,
            Err(wait) => {
                arrival.place = None;
                return Err(self.refuse(cx, &arrival, wait).await);
            }
        };
        let waited = arrival.at.elapsed() < since;
        if waited {
            // Others of the address go on meanwhile.
            arrival.place = None;
            self.enter(cx, &mut arrival, since).await?;
        }
        let place = arrival.place.take().ok_or_else(|| Error::internal("an attempt without a place"))?;
        Ok(Turn { throttle: self, attempt, place: Some(place), waited, apart: self.is_narrow(arrival.near) })
    }

    /// Sleeps until so long after the arrival, and then goes through the gate of the address.
    async fn enter(&self, cx: &Cx, arrival: &mut Arrival, since: Duration) -> Result<()> {
        let gate = arrival.gate.clone();
        let narrow = self.is_narrow(arrival.near);
        let left = since.saturating_sub(arrival.at.elapsed());
        arrival.place = if left.is_zero() && !narrow {
            gate.pass(false).await
        } else {
            let _asleep = gate.sleep().ok_or_else(|| too_many(SHARED_MOST))?;
            let waiting = async {
                tokio::time::sleep(left).await;
                gate.pass(narrow).await
            };
            cx.aside(waiting).await?
        };
        match arrival.place {
            Some(_) => Ok(()),
            None => Err(self.refuse(cx, arrival, Duration::ZERO).await),
        }
    }

    /// Whether so many have failed at an address that its attempts are worked on one at a time.
    fn is_narrow(&self, near: Near) -> bool {
        self.addresses.get(&near).unwrap_or_default() >= NARROW_FROM
    }

    /// Why an attempt is refused, after a while if that has happened often at the address: who does not listen is not
    /// answered as fast as it asks.
    async fn refuse(&self, cx: &Cx, arrival: &Arrival, wait: Duration) -> Error {
        let refused = bump(&self.refused, arrival.near);
        let left = cost(refused, REFUSED_MOST).saturating_sub(arrival.at.elapsed());
        if let Some(_asleep) = arrival.gate.sleep().filter(|_| !left.is_zero()) {
            cx.rest(left).await;
        }
        too_many(wait)
    }

    /// How long after its arrival an attempt waits for its turn; the error is how long it would be, if that is too long.
    fn turn(&self, attempt: &Attempt, now: Instant) -> Result<Duration, Duration> {
        let shared = self.accounts.get(&attempt.account).unwrap_or_default();
        let shared = shared.max(self.addresses.get(&attempt.near).unwrap_or_default());
        let mut turn = now + cost(shared, SHARED_MOST);
        if let Some(record) = self.own.get(attempt) {
            turn = turn.max(record.next);
            let wait = turn.duration_since(now);
            if wait > PATIENCE {
                return Err(wait);
            }
            // The next one waits for this one's turn and its own.
            self.own.insert(*attempt, Record { next: turn + cost(record.failures, OWN_MOST), ..record });
        }
        Ok(turn.duration_since(now))
    }

    fn failed_at(&self, attempt: &Attempt, now: Instant) {
        bump(&self.accounts, attempt.account);
        bump(&self.addresses, attempt.near);
        let record = self.own.get(attempt);
        let failures = record.map_or(0, |record| record.failures).saturating_add(1);
        let next = (now + cost(failures, OWN_MOST)).max(record.map_or(now, |record| record.next));
        self.own.insert(*attempt, Record { failures, next });
    }

    fn succeeded(&self, attempt: &Attempt) {
        self.own.invalidate(attempt);
    }
}

impl Turn<'_> {
    /// Notes that the attempt failed.
    pub fn failed(mut self) {
        self.fail();
    }

    /// Notes that it succeeded: who knows the password need not wait for it again.
    pub fn succeeded(mut self) {
        self.place = None;
        self.throttle.succeeded(&self.attempt);
    }

    /// Notes that nobody can say, for a reason of ours.
    pub fn unsettled(mut self) {
        self.place = None;
    }

    fn fail(&mut self) {
        if let Some(place) = self.place.take() {
            self.throttle.failed_at(&self.attempt, Instant::now());
            place.failed();
        }
    }
}

impl Drop for Turn<'_> {
    /// Whoever ends the call on its way, by a deadline or by going away, has tried all the same.
    fn drop(&mut self) {
        self.fail();
    }
}

fn bump<K: Hash + Eq + Send + Sync + 'static>(counts: &Cache<K, u32>, key: K) -> u32 {
    let count = counts.get(&key).unwrap_or_default().saturating_add(1);
    counts.insert(key, count);
    count
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
        Attempt::named("acme", account, Some(Ipv4Addr::new(192, 0, 2, last).into()))
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
        assert!(waits.iter().flat_map(|wait| wait.as_ref().err()).all(|wait| *wait > PATIENCE));
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
    async fn one_address_leaves_the_door_open_for_others() {
        let throttle = Throttle::default();
        let held = futures::future::join_all((0..11).map(|n| turn(&throttle, ["a", "b", "c"][n % 3], 1))).await;
        assert_eq!(held.iter().filter(|turn| turn.is_ok()).count(), crate::identity::accounts::address_gate::AT_ONCE);
        assert!(turn(&throttle, "ada", 2).await.is_ok());
        drop(held);
        assert!(turn(&throttle, "ada", 1).await.is_ok());
    }

    #[tokio::test]
    async fn whoever_leaves_on_the_way_has_tried() {
        for (leave, cost) in [((|turn| drop(turn)) as fn(Turn<'_>), FIRST), (|turn| turn.unsettled(), Duration::ZERO)] {
            let throttle = Throttle::default();
            for _ in 0..=FREE {
                leave(turn(&throttle, "ada", 1).await.unwrap());
            }
            assert_eq!(throttle.turn(&attempt("ada", 1), Instant::now()).unwrap() >= FIRST, cost == FIRST);
        }
    }

    #[tokio::test]
    async fn those_whom_a_proxy_does_not_tell_are_counted_by_the_proxy() {
        let throttle = Throttle::default();
        let behind = |last: u8| {
            let peer = Some(Ipv4Addr::new(10, 0, 0, last).into());
            let facts = crate::base::cx::CxFacts::clone(&cx(1));
            Cx::new(crate::base::cx::CxFacts { client: None, peer, ..facts })
        };
        let come = async |cx: Cx| {
            let arrival = throttle.approach(&cx).await?;
            throttle.wait(&cx, arrival, Attempt::named("acme", "ada", cx.counted_as())).await
        };
        let held = futures::future::join_all((0..11).map(|_| come(behind(1)))).await;
        let admitted = held.iter().filter(|turn| turn.is_ok()).count();
        assert_eq!(admitted, crate::identity::accounts::address_gate::AT_ONCE, "they have one gate");
        assert!(come(behind(2)).await.is_ok(), "and those behind another proxy have another one");
    }

    #[test]
    fn all_spellings_of_a_name_are_one_account() {
        let of = |name: &str| Attempt::named("acme", name, None);
        for same in ["v@\u{ff45}xample.com", " V@EXAMPLE.COM", "v@e\u{ff58}ample.com"] {
            assert_eq!(of(same), of("v@example.com"), "{same:?}");
        }
        let id = Uuid::now_v7();
        let shown = IdKind::User.show(id);
        assert_eq!(of(&shown.to_lowercase()), of(&shown));
        assert_ne!(of("v@example.com"), of("w@example.com"));
        assert_ne!(Attempt::named("acme", "v", None), Attempt::named("other", "v", None));
        let network = |text: &str| Attempt::on(id, Some(text.parse().unwrap()));
        assert_eq!(network("2001:db8::1"), network("2001:db8::2:3"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), Attempt::on(id, None));
    }

    /// Counts whether its call has a place.
    #[derive(Debug, Default)]
    struct Chair(std::sync::atomic::AtomicBool);

    impl crate::base::seat::Seat for Chair {
        fn leave(&self) {
            self.0.store(true, std::sync::atomic::Ordering::SeqCst);
        }

        fn take(&self) -> bool {
            self.0.store(false, std::sync::atomic::Ordering::SeqCst);
            true
        }
    }

    #[tokio::test]
    async fn who_waits_holds_no_place() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        (0..5).for_each(|_| throttle.failed_at(&attempt("ada", 1), now));
        let chair = Arc::new(Chair::default());
        let seat = Some(crate::base::seat::Seated(chair.clone()));
        let cx = Cx::new(crate::base::cx::CxFacts { seat, ..crate::base::cx::CxFacts::clone(&cx(1)) });
        let left = || chair.0.load(std::sync::atomic::Ordering::SeqCst);
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
