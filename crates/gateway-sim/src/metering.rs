//! The reports of a gateway: that it is there, what it has applied, and what its sessions used. The simulated ones have no sessions.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use tenantry_proto::{
    edge::v1::Material,
    zerotrust::v1::{
        GatewayApplied, MeteringTotals, ReportMeteringRequest, metering_service_client::MeteringServiceClient,
    },
};
use tokio::time::sleep;
use tonic::{Code, Request, Status, transport::Channel};
use uuid::Uuid;

use crate::{Enrolled, Progress};

const METHOD: &str = "/tenantry.zerotrust.v1.MeteringService/ReportMetering";

/// What a gateway reports, one window after the other.
#[derive(Debug)]
pub struct Meter {
    number: usize,
    enrolled: Enrolled,
    /// Distinguishes the reports of this run from those of others.
    run: Uuid,
    sequence: i64,
    /// The end of the last window that the server has.
    reported_until: i64,
    /// The window that is being reported, until the server has it: a report is repeated as it was, and counts once.
    pending: Option<ReportMeteringRequest>,
}

impl Meter {
    /// Of a gateway with this number in the run, from now on.
    pub fn new(number: usize, enrolled: Enrolled) -> Self {
        let reported_until = enrolled.clock.unix();
        Self { number, enrolled, run: Uuid::new_v4(), sequence: 0, reported_until, pending: None }
    }

    /// Reports after each interval, until the server refuses the credential. The first one comes at a random time, so that not all gateways
    /// report at once.
    pub async fn run(
        mut self,
        channel: Channel,
        proven_url: Option<&str>,
        interval: Duration,
        progress: &Arc<Progress>,
    ) {
        sleep(interval.mul_f64(rand::random())).await;
        loop {
            match self.report(channel.clone(), proven_url, progress).await {
                Ok(()) => progress.reported(),
                Err(status) if matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied) => return,
                // The same report again.
                Err(_) => {}
            }
            sleep(interval).await;
        }
    }

    async fn report(&mut self, channel: Channel, proven_url: Option<&str>, progress: &Progress) -> Result<(), Status> {
        let report = self.pending.take().unwrap_or_else(|| self.next(progress));
        let mut call = Request::new(self.pending.insert(report).clone());
        if let Some(url) = proven_url {
            self.enrolled.prove(&mut call, url, METHOD)?;
        }
        MeteringServiceClient::new(channel).report_metering(call).await?;
        if let Some(done) = self.pending.take() {
            self.sequence += 1;
            self.reported_until = done.window_end.map_or(self.reported_until, |end| end.seconds);
        }
        Ok(())
    }

    /// The window from the last one until now.
    fn next(&self, progress: &Progress) -> ReportMeteringRequest {
        let number = |material| progress.of(self.number, material).map(|applied| applied.number);
        let at = |seconds: i64| Some((UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs())).into());
        ReportMeteringRequest {
            report_id: Some(format!("{}-{}", self.run.simple(), self.sequence)),
            gateway_id: Some(self.enrolled.id.clone()),
            window_start: at(self.reported_until),
            window_end: at(self.enrolled.clock.unix().max(self.reported_until)),
            sequence: Some(self.sequence),
            sessions: Vec::new(),
            totals: Some(MeteringTotals::default()),
            applied: Some(GatewayApplied {
                policy_version: number(Material::GatewayPolicy),
                anchors_sequence: number(Material::TrustAnchors).or(i64::try_from(self.enrolled.anchors.sequence).ok()),
                spc_sequence: number(Material::SpcBundle),
                config_version: number(Material::DeploymentConfig),
            }),
        }
    }
}
