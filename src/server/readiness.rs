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
use tokio::sync::Mutex;

/// How long a check may take.
const PATIENCE: Duration = Duration::from_secs(2);
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
}

impl Readiness {
    /// Ready when all of these pass.
    pub fn new(checks: Vec<(&'static str, Box<dyn Check>)>) -> Self {
        Self(Arc::new(State { checks, draining: AtomicBool::new(false), last: Mutex::default() }))
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
        failing
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
}
