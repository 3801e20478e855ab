//! A way to have background work done before its next turn.

use std::sync::Arc;

use tokio::sync::Notify;

/// Wakes one background worker. Cheap to clone; clones wake the same one. A ring while the worker is busy is kept until it
/// listens again; several rings until then are one.
#[derive(Clone, Debug, Default)]
pub struct Activator(Arc<Notify>);

impl Activator {
    /// Wakes the worker.
    pub fn ring(&self) {
        self.0.notify_one();
    }

    /// Waits for a ring. A wait that is given up loses none.
    pub async fn rung(&self) {
        self.0.notified().await;
    }
}
