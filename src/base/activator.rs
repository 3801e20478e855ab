//! Wakes background work before it is due.

use std::sync::Arc;

use tokio::sync::Notify;

/// Wakes one background worker. Clones wake the same worker. An activation while the worker is busy is kept until it waits
/// again; several are merged into one.
#[derive(Clone, Debug, Default)]
pub struct Activator(Arc<Notify>);

impl Activator {
    /// Wakes the worker.
    pub fn activate(&self) {
        self.0.notify_one();
    }

    /// Waits for an activation. Cancel safe.
    pub async fn activated(&self) {
        self.0.notified().await;
    }
}
