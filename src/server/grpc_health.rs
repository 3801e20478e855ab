//! `grpc.health.v1`: each service serves when the server is ready.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

use super::readiness::Readiness;

/// How often the readiness is asked.
const PERIOD: Duration = Duration::from_secs(1);

/// Reports every service, and the server as a whole under the empty name, until `stop`.
pub(super) async fn follow(
    readiness: Readiness,
    reporter: HealthReporter,
    services: Vec<String>,
    stop: CancellationToken,
) {
    let mut before = None;
    let mut period = tokio::time::interval(PERIOD);
    period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = period.tick() => {}
            () = stop.cancelled() => return,
        }
        let ready = readiness.failing().await.is_empty();
        if readiness.is_draining() {
            // That has been told.
            return;
        }
        if before != Some(ready) {
            report(&reporter, &services, ready).await;
            before = Some(ready);
        }
    }
}

/// Tells whoever asks or watches.
pub(super) async fn report(reporter: &HealthReporter, services: &[String], ready: bool) {
    let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
    reporter.set_service_status("", status).await;
    for service in services {
        reporter.set_service_status(service.as_str(), status).await;
    }
}
