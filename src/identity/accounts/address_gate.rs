//! Limits the concurrent attempts of one address and how many of them wait.
//!
//! An address with many failures gets a narrow gate: one attempt at a time, and a pause after each failure. So
//! attempts from there take almost no password hashing capacity from other clients. An attempt that waits here
//! holds no resource that others need.

use std::{
    convert::Infallible,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use quick_cache::{DefaultHashBuilder, Lifecycle, UnitWeighter, sync::Cache};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Maximum number of concurrent attempts of an address.
pub(in crate::identity) const MAX_CONCURRENT: usize = 8;
/// Number of failures that makes the gate of an address narrow.
pub(in crate::identity) const NARROW_FROM: u32 = 32;
/// How long a narrow gate is closed after a failure.
const PAUSE: Duration = Duration::from_millis(250);
/// How long an attempt waits at a narrow gate.
const MAX_WAIT: Duration = Duration::from_secs(2);
/// Maximum number of attempts waiting at a narrow gate: about the number that pass in that time without failures.
const MAX_WAITING: usize = 64;
/// Maximum number of sleeping attempts of an address. Each costs some memory and nothing else.
const MAX_SLEEPING: usize = 4096;

/// Number of addresses for which space is allocated at once.
const INITIAL_GATES: usize = 64;

type GateCache = Cache<Option<IpAddr>, Arc<Gate>, UnitWeighter, DefaultHashBuilder, KeepUsed>;

/// The gates of all addresses. Cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::identity) struct Gates(Arc<GateCache>);

impl Gates {
    /// For a number of addresses, and for more while their gates are in use.
    pub fn new(capacity: u64) -> Self {
        let hash = DefaultHashBuilder::default();
        Self(Arc::new(Cache::with(INITIAL_GATES, capacity, UnitWeighter, hash, KeepUsed)))
    }

    /// The gate of an address.
    pub fn of(&self, address: Option<IpAddr>) -> Arc<Gate> {
        let Ok(gate) = self.0.get_or_insert_with(&address, || Ok::<_, Infallible>(Arc::default()));
        gate
    }
}

/// Keeps gates that are in use: attempts that wait at one must not be joined by attempts at a new one.
#[derive(Clone, Debug)]
struct KeepUsed;

impl Lifecycle<Option<IpAddr>, Arc<Gate>> for KeepUsed {
    type RequestState = ();

    fn is_pinned(&self, _: &Option<IpAddr>, gate: &Arc<Gate>) -> bool {
        Arc::strong_count(gate) > 1 || gate.is_occupied()
    }
}

#[derive(Debug)]
pub(in crate::identity) struct Gate {
    wide: Arc<Semaphore>,
    narrow: Arc<Semaphore>,
    waiting: AtomicUsize,
    asleep: Arc<Semaphore>,
}

impl Default for Gate {
    fn default() -> Self {
        let of = |permits| Arc::new(Semaphore::new(permits));
        Self { wide: of(MAX_CONCURRENT), narrow: of(1), waiting: AtomicUsize::new(0), asleep: of(MAX_SLEEPING) }
    }
}

/// The slot of an attempt among those of its address; released on drop.
#[derive(Debug)]
pub(in crate::identity) struct Slot {
    permits: Vec<OwnedSemaphorePermit>,
    narrow: bool,
}

/// Counts as waiting at the gate until dropped.
struct Waiting<'g>(&'g AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gate {
    /// Whether an attempt has a slot or sleeps.
    pub fn is_occupied(&self) -> bool {
        [&self.wide, &self.narrow, &self.asleep].into_iter().any(|permits| Arc::strong_count(permits) > 1)
    }

    /// Permission to sleep; none if too many do.
    pub fn sleep(&self) -> Option<OwnedSemaphorePermit> {
        self.asleep.clone().try_acquire_owned().ok()
    }

    /// Passes the gate, if a slot is free soon.
    pub async fn pass(&self, narrow: bool) -> Option<Slot> {
        let one = if narrow { Some(self.queue().await?) } else { None };
        let any = self.wide.clone().try_acquire_owned().ok()?;
        Some(Slot { permits: one.into_iter().chain([any]).collect(), narrow })
    }

    async fn queue(&self) -> Option<OwnedSemaphorePermit> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let _waiting = Waiting(&self.waiting);
        tokio::time::timeout(MAX_WAIT, self.narrow.clone().acquire_owned()).await.ok()?.ok()
    }
}

impl Slot {
    /// Releases the slot after a failure: a narrow gate stays closed for a while.
    pub fn failed(self) {
        let Self { permits, narrow } = self;
        if narrow && let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                tokio::time::sleep(PAUSE).await;
                drop(permits);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wide_gate_limits_concurrent_attempts() {
        let gate = Gate::default();
        let mut slots = Vec::new();
        for _ in 0..MAX_CONCURRENT {
            slots.push(gate.pass(false).await.unwrap());
        }
        assert!(gate.pass(false).await.is_none());
        slots.pop();
        assert!(gate.pass(false).await.is_some());
    }

    #[tokio::test]
    async fn a_narrow_gate_admits_one_attempt_and_closes_after_a_failure() {
        let gate = Gate::default();
        let started = tokio::time::Instant::now();
        for _ in 0..4 {
            gate.pass(true).await.unwrap().failed();
        }
        assert!(started.elapsed() >= 3 * PAUSE, "{:?}", started.elapsed());
        let slot = gate.pass(true).await.unwrap();
        let waiting = tokio::time::Instant::now();
        assert!(gate.pass(true).await.is_none(), "the one before it does not end");
        assert!(waiting.elapsed() >= MAX_WAIT);
        drop(slot);
        drop(gate.pass(true).await.unwrap());
        assert!(
            futures::FutureExt::now_or_never(gate.pass(true)).flatten().is_some(),
            "one that succeeds shuts nothing"
        );
    }

    #[tokio::test]
    async fn a_narrow_gate_limits_waiting_attempts() {
        let gate = Gate::default();
        let _held = gate.pass(true).await.unwrap();
        let waits = futures::future::join_all((0..MAX_WAITING + 20).map(|_| async {
            let began = tokio::time::Instant::now();
            assert!(gate.pass(true).await.is_none());
            began.elapsed() >= MAX_WAIT
        }));
        assert_eq!(waits.await.iter().filter(|waited| **waited).count(), MAX_WAITING);
    }
}
