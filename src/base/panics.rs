//! Panics that were caught: faults of this program that end one call, or one run of a job, and nothing else.

use std::any::Any;

/// Counts a panic.
pub fn count(panic: &(dyn Any + Send)) {
    metrics::counter!("tenantry_panics_total").increment(1);
    tracing::debug!(panic = text(panic), "a panic was caught");
}

/// What the panic said. For the log alone.
pub fn text(panic: &(dyn Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("?")
}
