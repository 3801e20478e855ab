//! The recorder of this process's metrics.

use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

/// Upper bounds of the histograms of times, in seconds: those that OpenTelemetry advises, and two below for point reads.
const SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// How often recorded values are folded into the histograms, so that they do not pile up while nobody asks.
const UPKEEP: Duration = Duration::from_secs(5);

/// Begins to record. Once a process.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    super::process::mark_start();
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("duration".to_owned()), SECONDS)?
        .install_recorder()
}

/// Folds recorded values until `stop`.
pub(super) async fn upkeep(handle: PrometheusHandle, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(UPKEEP) => handle.run_upkeep(),
            () = stop.cancelled() => return,
        }
    }
}
