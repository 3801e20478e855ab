//! A panic is our failure and one call's: it becomes an answer, and the connection goes on.

use std::{any::Any, future::Future, panic::AssertUnwindSafe};

use futures::FutureExt;

use super::answer::Failure;
use crate::base::Error;

/// Runs a call. What the panic said goes to the log alone.
pub(super) async fn catch<T>(call: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    // A call that panicked is dropped whole, so nobody sees what it left half done.
    AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(|panic| {
        metrics::counter!("tenantry_panics_total").increment(1);
        let error = Error::internal(format!("panic: {}", text(panic.as_ref())));
        Err(Failure::Call(error))
    })
}

fn text(panic: &(dyn Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("?")
}
