//! Load shedding: as many calls as the configuration allows, and an honest refusal to the rest. Probes always pass, or an
//! overloaded server would be taken for a dead one.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::{Failure, Head};
use crate::{
    base::{Error, Kind, error::Reason},
    server::ops,
};

/// The calls that may still be taken.
pub(super) struct Load(Arc<Semaphore>);

impl Load {
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))))
    }

    /// A permit, held until the call has its answer's head: a stream that is open costs memory, not work.
    pub(super) fn admit(&self, head: &Head) -> Result<Option<OwnedSemaphorePermit>, Failure> {
        if ops::is_ops(&head.path) {
            return Ok(None);
        }
        self.0.clone().try_acquire_owned().map(Some).map_err(|_| {
            metrics::counter!("tenantry_calls_shed_total").increment(1);
            let error = Error::new(Kind::Unavailable, Reason::Overloaded, "the server has too much to do; retry later");
            Failure::Busy(error)
        })
    }
}
