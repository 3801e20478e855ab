//! Caught panics: bugs that end one call or one run of a job.

use std::any::Any;

pub fn count(panic: &(dyn Any + Send)) {
    metrics::counter!("tenantry_panics_total").increment(1);
    tracing::debug!(panic = text(panic), "a panic was caught");
}

/// The message of a panic. Only for the log.
pub fn text(panic: &(dyn Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("?")
}
