//! Metrics of the streams of gateways.

use std::time::Duration;

use super::Topic;

/// An open stream, counted until it is dropped.
#[derive(Debug)]
pub(super) struct Open(());

impl Open {
    pub fn new() -> Self {
        metrics::gauge!("tenantry_gateway_streams").increment(1.0);
        Self(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        metrics::gauge!("tenantry_gateway_streams").decrement(1.0);
    }
}

/// An update was sent.
pub(super) fn sent(topic: Topic) {
    metrics::counter!("tenantry_gateway_updates_total", "material" => topic.kind().as_str()).increment(1);
}

/// An update was applied, this long after the server had it.
pub(super) fn applied(topic: Topic, after: Duration) {
    metrics::histogram!("tenantry_gateway_apply_seconds", "material" => topic.kind().as_str()).record(after);
}

/// An update was refused.
pub(super) fn refused(topic: Topic) {
    metrics::counter!("tenantry_gateway_refusals_total", "material" => topic.kind().as_str()).increment(1);
}
