//! The count of open streams, for which the outbox is read.

use std::sync::Arc;

use tokio::sync::watch;

/// How many streams are open. Cheap to clone; clones share the count.
#[derive(Clone, Debug)]
pub struct Demand(Arc<watch::Sender<usize>>);

impl Demand {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    /// Counts one open stream until it is dropped.
    pub fn open(&self) -> OpenStream {
        self.0.send_modify(|open| *open += 1);
        OpenStream(self.clone())
    }

    pub(super) fn count(&self) -> usize {
        *self.0.borrow()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<usize> {
        self.0.subscribe()
    }
}

/// An open stream.
#[derive(Debug)]
pub struct OpenStream(Demand);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.0.send_modify(|open| *open -= 1);
    }
}
