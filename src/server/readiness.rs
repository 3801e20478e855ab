//! Whether the server should receive calls.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::future::join_all;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

/// How long a check may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often the checks are made for those that are notified of changes.
const PERIOD: Duration = Duration::from_secs(1);
/// How long a result is cached: more frequent probes do not put more load on the database.
const FRESH: Duration = Duration::from_millis(250);
/// The text for a server that is about to stop.
const DRAINING: &str = "draining";

/// Something that the server needs.
#[async_trait]
pub trait Check: Send + Sync + 'static {
    async fn passes(&self) -> bool;
}

/// The checks, by name. Cheap to clone; clones share the state.
#[derive(Clone)]
pub struct Readiness(Arc<State>);

struct State {
    checks: Vec<(&'static str, Box<dyn Check>)>,
    draining: AtomicBool,
    /// When the checks last finished, and which of them failed. Probes during a check wait for its result.
    last: Mutex<Option<(Instant, Vec<&'static str>)>>,
    /// Whether all checks passed when they last finished. Not ready until then.
    passed: watch::Sender<bool>,
}

impl Readiness {
    /// Ready when all of these pass.
    pub fn new(checks: Vec<(&'static str, Box<dyn Check>)>) -> Self {
        Self(Arc::new(State {
            checks,
            draining: AtomicBool::new(false),
            last: Mutex::default(),
            passed: watch::Sender::new(false),
        }))
    }

    /// Makes the server not ready from now on: it is about to stop.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Acquire)
    }

    /// The names of the failing checks, within a limited time; empty if the server is ready.
    pub async fn failing(&self) -> Vec<&'static str> {
        if self.is_draining() {
            return vec![DRAINING];
        }
        let mut last = self.0.last.lock().await;
        if let Some((when, failing)) = last.as_ref()
            && when.elapsed() < FRESH
        {
            return failing.clone();
        }
        let failing = self.check().await;
        *last = Some((Instant::now(), failing.clone()));
        // Before the answer, so that a probe and a watch never disagree.
        self.0.passed.send_if_modified(|passed| std::mem::replace(passed, failing.is_empty()) != failing.is_empty());
        failing
    }

    /// The result of the last checks, and changes of it. The drain is not one of them.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.0.passed.subscribe()
    }

    /// Checks regularly until `stop`, so that watches are notified.
    pub async fn follow(self, stop: CancellationToken) {
        let mut period = tokio::time::interval(PERIOD);
        period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = period.tick() => {}
                () = stop.cancelled() => return,
            }
            self.failing().await;
        }
    }

    async fn check(&self) -> Vec<&'static str> {
        let checks = self.0.checks.iter().map(|(name, check)| async move {
            let passed = tokio::time::timeout(PATIENCE, check.passes()).await.unwrap_or(false);
            (!passed).then_some(*name)
        });
        join_all(checks).await.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    struct Counted(Arc<AtomicUsize>);

    #[async_trait]
    impl Check for Counted {
        async fn passes(&self) -> bool {
            self.0.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            false
        }
    }

    #[tokio::test]
    async fn concurrent_probes_share_a_result_and_draining_shows_immediately() {
        let asked = Arc::new(AtomicUsize::new(0));
        let readiness = Readiness::new(vec![("it", Box::new(Counted(asked.clone())))]);
        // At least as long as results are cached, so that a slow machine does not matter.
        let begun = Instant::now();
        for failing in join_all((0..100).map(|_| readiness.failing())).await {
            assert_eq!(failing, ["it"]);
        }
        let most = 1 + begun.elapsed().as_millis() / FRESH.as_millis();
        assert!(asked.load(Ordering::Relaxed) as u128 <= most);
        readiness.drain();
        assert_eq!(readiness.failing().await, [DRAINING]);
    }

    struct Passing(Arc<AtomicBool>);

    #[async_trait]
    impl Check for Passing {
        async fn passes(&self) -> bool {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_never_contradicts_a_probe() {
        let passing = Arc::new(AtomicBool::new(true));
        let readiness = Readiness::new(vec![("it", Box::new(Passing(passing.clone())))]);
        let watch = readiness.watch();
        assert!(!*watch.borrow(), "not checked yet");
        assert!(readiness.failing().await.is_empty() && *watch.borrow());
        passing.store(false, Ordering::Relaxed);
        let follow = tokio::spawn(readiness.clone().follow(CancellationToken::new()));
        // The cache has its own clock.
        std::thread::sleep(FRESH);
        tokio::time::sleep(2 * PERIOD).await;
        assert!(!*watch.borrow());
        follow.abort();
    }
}
