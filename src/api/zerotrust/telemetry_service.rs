//! `TelemetryService`: reports of devices.

use super::request::time;
use crate::{
    api::{Deps, handlers::zerotrust::v1::telemetry_service::TelemetryService},
    base::{Basis, Cx, Error, Result},
    policy::reports::{self, NewReport, NewVerdict},
    proto::zerotrust::v1::{ReportSessionRequest, ReportSessionResponse},
};

pub struct Telemetry {
    pub(super) deps: Deps,
}

impl TelemetryService for Telemetry {
    async fn report_session(&self, cx: &Cx, message: ReportSessionRequest) -> Result<ReportSessionResponse> {
        let Basis::Device { id, .. } = cx.caller.basis else {
            return Err(Error::internal("a route of devices was called by another caller"));
        };
        let (store, least) = (&self.deps.store, self.deps.settings.canary_min_reports);
        reports::report(cx, store, cx.tenant()?, id, new_report(message)?, least).await?;
        Ok(ReportSessionResponse {})
    }
}

fn new_report(message: ReportSessionRequest) -> Result<NewReport> {
    Ok(NewReport {
        event: message.event().to_owned(),
        session: message.session_id,
        at: time("at", &message.at.unwrap_or_default())?,
        rtt_ms: message.rtt_ms,
        loss: message.loss,
        path_changes: message.path_changes,
        bytes_in: message.bytes_in,
        bytes_out: message.bytes_out,
        applied: message.applied_policy.map(|applied| NewVerdict {
            version: applied.version,
            ok: applied.ok,
            error: applied.error,
        }),
        client_version: message.client_version,
    })
}
