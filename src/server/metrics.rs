//! The metrics recorder of this process.

use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

/// Upper bounds of the histograms of durations, in seconds: the recommendation of OpenTelemetry, with two smaller ones
/// for point reads.
const SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// Upper bounds for runs of background jobs, which may take minutes. There are few, because each job has a series for
/// each bound.
const JOB_SECONDS: &[f64] = &[0.01, 0.1, 1.0, 10.0, 100.0];
/// How often recorded values are aggregated into the histograms, so that they do not accumulate while nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// All counters without labels. They start at 0, because Prometheus sees no increase in a series that appears with its
/// first value.
const COUNTERS: [&str; 6] = [
    "kubeop_billing_invoice_lines_total",
    "tenantry_calls_shed_total",
    "tenantry_log_lines_lost_total",
    "tenantry_access_lines_left_out_total",
    "tenantry_panics_total",
    "tenantry.store.write.retries",
];
/// Counters and gauges with labels. The code that knows the values of the labels creates them.
#[cfg(test)]
const LABELLED: [&str; 6] = [
    "kubeop_business_created_total",
    "tenantry_gateway_refusals_total",
    "tenantry_gateway_updates_total",
    "tenantry_job_last_success_timestamp_seconds",
    "tenantry_job_runs_total",
    "tenantry_operations_total",
];
/// All gauges without labels, which also exist from the start.
const GAUGES: [&str; 2] = ["tenantry_calls_in_flight", "tenantry_gateway_streams"];

/// Starts recording. Only once in a process.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    super::process::mark_start();
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("duration".to_owned()), SECONDS)?
        .set_buckets_for_metric(Matcher::Full("tenantry_job_duration_seconds".to_owned()), JOB_SECONDS)?
        .install_recorder()?;
    for name in COUNTERS {
        metrics::counter!(name).increment(0);
    }
    for name in GAUGES {
        metrics::gauge!(name).increment(0.0);
    }
    Ok(handle)
}

/// Aggregates recorded values until `stop`.
pub(super) async fn upkeep(handle: PrometheusHandle, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(UPKEEP) => handle.run_upkeep(),
            () = stop.cancelled() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn every_counter_and_gauge_exists_from_the_start() {
        let mut found = Vec::new();
        names_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        found.retain(|name| name != "name");
        found.sort();
        found.dedup();
        let mut known: Vec<_> =
            COUNTERS.into_iter().chain(GAUGES).chain(LABELLED).map(|name| format!("\"{name}\"")).collect();
        known.sort();
        assert_eq!(found, known);
    }

    /// The arguments of the macros that record metrics.
    fn names_in(dir: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                names_in(&path, found);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for kind in ["counter", "gauge"] {
                let macro_call = format!("metrics::{kind}!(");
                let calls = text.split(&macro_call).skip(1);
                found.extend(calls.map(|call| call.split([')', ',']).next().unwrap().trim().to_owned()));
            }
        }
    }
}
