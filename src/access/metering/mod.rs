//! Reports of gateways about the sessions at them, and about themselves (zero-trust contract, section 5.5).

mod apply;
mod check;
mod counters;
mod offline;

use std::collections::{HashMap, HashSet};

use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use self::{apply::At, check::Checked, counters::Traffic};
use crate::{
    base::{Basis, Cx, Error, IdKind, Page, PageRequest, Result, TenantId, TenantRef, TenantScope, error::Reason},
    store::{
        Stamp, Store, Tx,
        columns::{Applied, Json, Totals},
        tables::{AccessSessionRow, GatewayReportRow, MeteringReportRow, ReportFilter},
    },
    tenants,
};

/// A report of a gateway.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its id at the gateway; a repeated one counts once.
    pub report_id: String,
    /// The public id of the gateway, if the report names it.
    pub gateway: Option<String>,
    /// Its number at the gateway. Numbers rise with time.
    pub sequence: i64,
    pub window_start: OffsetDateTime,
    pub window_end: OffsetDateTime,
    pub lines: Vec<Line>,
    pub totals: Totals,
    pub applied: Option<Applied>,
}

/// A session in a report. Its counters are cumulative.
#[derive(Clone, Debug)]
pub struct Line {
    /// The public ids.
    pub session: String,
    pub device: String,
    pub bytes_in: i64,
    pub bytes_out: i64,
    /// Checked, but not kept.
    pub packets_in: i64,
    pub packets_out: i64,
    pub started_at: OffsetDateTime,
    pub ended_at: Option<OffsetDateTime>,
    pub end_reason: Option<String>,
    /// The gateway was cut off, and admitted the device by its certificate.
    pub admitted_offline: bool,
}

/// A session in a report that was not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its place in the report.
    pub index: usize,
    /// The reason, as a word.
    pub reason: &'static str,
}

/// What became of a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Number of sessions that were counted.
    pub accepted: usize,
    /// Number of sessions in a report that was sent before.
    pub duplicates: usize,
    pub rejected: Vec<Rejected>,
}

/// A stored report.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    pub tenant: TenantId,
    pub row: MeteringReportRow,
}

/// Which reports are listed; the default is all of them.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The public id of the gateway.
    pub gateway: Option<String>,
    /// Only those whose window ends after this time.
    pub from: Option<OffsetDateTime>,
    /// Only those whose window begins before this time.
    pub to: Option<OffsetDateTime>,
}

/// A valid report.
struct Checking {
    scope: TenantScope,
    gateway: Uuid,
    report: Report,
    lines: Vec<Checked>,
    rejected: Vec<Rejected>,
    received_at: OffsetDateTime,
}

/// Counts a report of the gateway that calls. Fails with INVALID_ARGUMENT for an invalid report, with PERMISSION_DENIED for one of another
/// gateway. Sessions that are not valid are rejected by themselves.
pub async fn report(cx: &Cx, store: &Store, mut report: Report) -> Result<Counted> {
    let Basis::Gateway { id: gateway, .. } = cx.caller.basis else {
        return Err(Error::denied(Reason::CallerKindRefused, "only gateways can report"));
    };
    if report.gateway.as_ref().is_some_and(|named| IdKind::Gateway.read(named) != Some(gateway)) {
        let message = "a gateway reports only its own sessions; leave out gateway_id";
        return Err(Error::denied(Reason::PermissionDenied, message));
    }
    let received_at = cx.clock.now();
    check::report(&report, received_at)?;
    let (lines, rejected) = check::lines(std::mem::take(&mut report.lines), received_at);
    let checking = Checking {
        scope: tenants::reach(cx, store, cx.tenant()?).await?,
        gateway,
        report,
        lines,
        rejected,
        received_at,
    };
    store.write(cx, checking, count).await
}

async fn count(tx: &Tx, checking: &Checking) -> Result<Counted> {
    let scope = checking.scope;
    let (rows, report) = (tx.tenant(scope), &checking.report);
    let mut row = stored(scope, checking, tx.new_id());
    let target = IdKind::Gateway.show(checking.gateway);
    if !rows.metering_reports().insert(row.clone()).await? {
        let details = json!({"report_id": report.report_id, "duplicate": true});
        tx.audit_only(Some(scope.tenant()), target, details);
        let duplicates = checking.lines.len() + checking.rejected.len();
        return Ok(Counted { duplicates, ..Counted::default() });
    }
    let (offline, unknown) = offline::record(tx, scope, checking).await?;
    let (changed, mut rejected, traffic) = apply_all(tx, scope, checking, &unknown).await?;
    rejected.extend(&checking.rejected);
    rejected.sort_unstable_by_key(|rejected| rejected.index);
    row.accepted = changed.len() as i64;
    row.rejected = rejected.len() as i64;
    (row.bytes_in, row.bytes_out) = (traffic.bytes_in, traffic.bytes_out);
    let accepted = changed.len();
    rows.access_sessions().put_reported(changed).await?;
    rows.metering_reports().set_counted(&row).await?;
    rows.gateway_reports().put(last(scope, checking)).await?;
    rows.gateways().note_report(checking.gateway, checking.received_at.into(), tx.cx().client).await?;
    let details = json!({"report_id": report.report_id, "sequence": report.sequence, "accepted": accepted,
        "rejected": rejected.len(), "admitted_offline": offline});
    tx.audit_only(Some(scope.tenant()), target, details);
    Ok(Counted { accepted, duplicates: 0, rejected })
}

/// Applies a report to its sessions, which are locked, except those of unknown devices. Returns those that changed, what is rejected, and what was counted.
async fn apply_all(
    tx: &Tx,
    scope: TenantScope,
    checking: &Checking,
    of_unknown: &HashSet<usize>,
) -> Result<(Vec<AccessSessionRow>, Vec<Rejected>, Traffic)> {
    let ids: Vec<Uuid> = checking.lines.iter().map(|line| line.session).collect();
    let found = tx.tenant(scope).access_sessions().locked(&ids).await?;
    let mut found: HashMap<Uuid, AccessSessionRow> = found.into_iter().map(|row| (row.id, row)).collect();
    let Report { sequence, window_end, .. } = checking.report;
    let at = At { sequence, window_end, now: checking.received_at };
    let (mut changed, mut rejected, mut traffic) = (Vec::new(), Vec::new(), Traffic::default());
    let mut kills_changed = false;
    for line in &checking.lines {
        let index = line.index;
        match found.remove(&line.session).filter(|session| session.gateway_id == checking.gateway) {
            None if of_unknown.contains(&index) => rejected.push(Rejected { index, reason: "unknown_device" }),
            None => rejected.push(Rejected { index, reason: "unknown_session" }),
            Some(session) if session.device_id != line.device => {
                rejected.push(Rejected { index, reason: "device_mismatch" });
            }
            Some(mut session) => {
                let applied = apply::apply(&mut session, line, at);
                traffic.add(applied.traffic);
                kills_changed |= applied.kills_changed;
                changed.push(session);
            }
        }
    }
    if kills_changed {
        tx.kill_list_changed(scope, checking.gateway).await?;
    }
    Ok((changed, rejected, traffic))
}

/// The row of a report, of which nothing is counted yet.
fn stored(scope: TenantScope, checking: &Checking, id: Uuid) -> MeteringReportRow {
    let report = &checking.report;
    MeteringReportRow {
        tenant_id: scope.into(),
        gateway_id: checking.gateway,
        report_id: report.report_id.clone(),
        id,
        sequence: report.sequence,
        window_start: report.window_start.into(),
        window_end: report.window_end.into(),
        received_at: checking.received_at.into(),
        accepted: 0,
        rejected: 0,
        bytes_in: 0,
        bytes_out: 0,
        totals: Json(report.totals),
    }
}

/// What is remembered of the last report of a gateway.
fn last(scope: TenantScope, checking: &Checking) -> GatewayReportRow {
    let report = &checking.report;
    GatewayReportRow {
        tenant_id: scope.into(),
        gateway_id: checking.gateway,
        kill_version: 0,
        sequence: Some(report.sequence),
        received_at: Some(checking.received_at.into()),
        clock_skew: Some((report.window_end - checking.received_at).whole_seconds()),
        totals: Some(Json(report.totals)),
        applied: report.applied.map(Json),
    }
}

/// A page of the reports of a tenant, in the order of arrival. Fails with INVALID_ARGUMENT for an invalid filter.
pub async fn page(
    cx: &Cx,
    store: &Store,
    tenant: &TenantRef,
    filter: &Filter,
    request: PageRequest,
) -> Result<Page<Stored>> {
    let invalid = || Error::invalid(Reason::InvalidArgument, "gateway_id", "not a gateway id");
    let gateway = filter.gateway.as_ref().map(|id| IdKind::Gateway.read(id).ok_or_else(invalid)).transpose()?;
    let wanted = ReportFilter { gateway, from: filter.from.map(Stamp::from), to: filter.to.map(Stamp::from) };
    let scope = tenants::reach(cx, store, tenant).await?;
    let (rows, total) = store.tenant(scope).metering_reports().page(&wanted, request).await?;
    let page = Page::cut(request, rows, total, |row| row.id);
    Ok(page.map(|row| Stored { tenant: scope.tenant(), row }))
}
