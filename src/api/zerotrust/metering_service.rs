//! `MeteringService`: reports of gateways.

use ::time::OffsetDateTime;
use prost_types::Timestamp;

use super::request::time;
use crate::{
    access::metering::{self, Filter, Line, Rejected, Report, Stored},
    api::{Deps, handlers::zerotrust::v1::metering_service::MeteringService, paging, timestamp},
    base::{Cx, Error, IdKind, Result},
    proto::zerotrust::v1::{
        GatewayApplied, ListMeteringReportsRequest, ListMeteringReportsResponse, MeteredSession, MeteringReport,
        MeteringTotals, RejectedSession, ReportMeteringRequest, ReportMeteringResponse,
    },
    store::columns::{Applied, Totals},
};

pub struct Metering {
    pub(super) deps: Deps,
}

impl MeteringService for Metering {
    async fn report_metering(&self, cx: &Cx, message: ReportMeteringRequest) -> Result<ReportMeteringResponse> {
        let counted = metering::report(cx, &self.deps.store, report(cx, message)?).await?;
        Ok(ReportMeteringResponse {
            accepted: small(counted.accepted),
            duplicates: small(counted.duplicates),
            rejected: counted.rejected.into_iter().map(rejected_to_proto).collect(),
        })
    }

    async fn list_metering_reports(
        &self,
        cx: &Cx,
        message: ListMeteringReportsRequest,
    ) -> Result<ListMeteringReportsResponse> {
        let request = paging::request(cx, &message)?;
        let filter = Filter {
            gateway: message.gateway_id,
            from: message.from.map(|at| time("from", &at)).transpose()?,
            to: message.to.map(|at| time("to", &at)).transpose()?,
        };
        let page = metering::page(cx, &self.deps.store, cx.tenant()?, &filter, request).await?;
        Ok(paging::response(page, to_proto))
    }
}

fn report(cx: &Cx, message: ReportMeteringRequest) -> Result<Report> {
    let sequence = message.sequence();
    let required =
        |field: &str, at: &Option<Timestamp>| time(field, at.as_ref().ok_or_else(|| Error::missing_field(field))?);
    Ok(Report {
        sequence,
        window_start: required("window_start", &message.window_start)?,
        window_end: required("window_end", &message.window_end)?,
        lines: message.sessions.into_iter().map(|session| line(cx, session)).collect::<Result<_>>()?,
        totals: message.totals.map(totals).unwrap_or_default(),
        applied: message.applied.map(applied),
        report_id: message.report_id.unwrap_or_default(),
        gateway: message.gateway_id,
    })
}

/// A session in a report. One without a start began now.
fn line(cx: &Cx, session: MeteredSession) -> Result<Line> {
    let at = |field: &str, at: Option<Timestamp>| -> Result<Option<OffsetDateTime>> {
        at.map(|at| time(field, &at)).transpose()
    };
    Ok(Line {
        started_at: at("sessions.started_at", session.started_at)?.unwrap_or_else(|| cx.clock.now()),
        ended_at: at("sessions.ended_at", session.ended_at)?,
        session: session.session_id,
        device: session.device_id,
        bytes_in: session.bytes_in,
        bytes_out: session.bytes_out,
        packets_in: session.packets_in.unwrap_or(0),
        packets_out: session.packets_out.unwrap_or(0),
        end_reason: session.end_reason,
        admitted_offline: session.admitted_offline,
    })
}

fn totals(totals: MeteringTotals) -> Totals {
    let MeteringTotals { active_sessions, peak_sessions, cpu, mem, mbps } = totals;
    Totals { active_sessions, peak_sessions, cpu, mem, mbps }
}

fn applied(applied: GatewayApplied) -> Applied {
    let GatewayApplied { policy_version, anchors_sequence, spc_sequence, config_version } = applied;
    Applied { policy_version, anchors_sequence, spc_sequence, config_version }
}

fn rejected_to_proto(rejected: Rejected) -> RejectedSession {
    RejectedSession { index: small(rejected.index), reason: rejected.reason.to_owned() }
}

/// A report has at most some thousands of sessions.
fn small(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn to_proto(stored: Stored) -> MeteringReport {
    let row = stored.row;
    let Totals { active_sessions, peak_sessions, cpu, mem, mbps } = row.totals.0;
    MeteringReport {
        report_id: row.report_id,
        tenant_id: stored.tenant.zero_trust(),
        gateway_id: IdKind::Gateway.show(row.gateway_id),
        sequence: row.sequence,
        window_start: Some(timestamp(row.window_start.time())),
        window_end: Some(timestamp(row.window_end.time())),
        received_at: Some(timestamp(row.received_at.time())),
        accepted: row.accepted,
        rejected: row.rejected,
        bytes_in: row.bytes_in,
        bytes_out: row.bytes_out,
        totals: Some(MeteringTotals { active_sessions, peak_sessions, cpu, mem, mbps }),
    }
}
