//! Reads of streams.

use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use crate::base::{Error, Result};

/// Runs the reads of a stream in a task of their own, which ends when the result is dropped.
///
/// A stream is polled only while its peer accepts data. A read that is part of it would keep its connection to the database
/// for as long as the peer does not, and a few such peers would take all connections.
pub async fn apart<T: Send + 'static>(reads: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    let task = AbortOnDropHandle::new(tokio::spawn(reads.in_current_span()));
    task.await.map_err(|cause| Error::internal("a read of a stream did not complete").caused_by(cause))?
}
