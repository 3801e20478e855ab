//! Whether the server should be sent calls.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::future::join_all;

/// How long a check may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// The word that stands for a server that is about to stop.
const DRAINING: &str = "draining";

/// Something that the server needs.
#[async_trait]
pub trait Check: Send + Sync + 'static {
    /// Whether it is there.
    async fn passes(&self) -> bool;
}

/// The checks, by name. Cheap to clone; clones share the state.
#[derive(Clone)]
pub struct Readiness(Arc<State>);

struct State {
    checks: Vec<(&'static str, Box<dyn Check>)>,
    draining: AtomicBool,
}

impl Readiness {
    /// Ready when all of these pass.
    pub fn new(checks: Vec<(&'static str, Box<dyn Check>)>) -> Self {
        Self(Arc::new(State { checks, draining: AtomicBool::new(false) }))
    }

    /// From now on the server is not ready: it is about to stop.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    /// The names of the checks that fail, within a bounded time; empty when the server is ready.
    pub async fn failing(&self) -> Vec<&'static str> {
        if self.0.draining.load(Ordering::Acquire) {
            return vec![DRAINING];
        }
        let checks = self.0.checks.iter().map(|(name, check)| async move {
            let passed = tokio::time::timeout(PATIENCE, check.passes()).await.unwrap_or(false);
            (!passed).then_some(*name)
        });
        join_all(checks).await.into_iter().flatten().collect()
    }
}
