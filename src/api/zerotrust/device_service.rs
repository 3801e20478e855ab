//! `DeviceService`: devices of a tenant.

use super::{dialect, request::time};
use crate::{
    api::{
        Deps,
        handlers::zerotrust::v1::device_service::{ChangeDeviceAction, ChangeDevicesAction, DeviceService},
        log, paging, timestamp,
    },
    base::{Cx, Error, IdKind, Reach, Result, error::Reason},
    fleet::devices::{
        self, Action, Device, DeviceRef, Filter,
        batch::{self, Batch, Outcome, Which},
    },
    proto::zerotrust::v1::{
        self as proto, ChangeDeviceRequest, ChangeDeviceResponse, ChangeDevicesRequest, ChangeDevicesResponse,
        DeviceCredential, DeviceFilter, DeviceOutcome, DevicePolicy, DeviceReport, ListDevicesRequest,
        ListDevicesResponse,
    },
    store::{
        Stamp,
        tables::{CredentialRow, PolicyReportRow, SessionReport},
    },
};

pub struct Devices {
    pub(super) deps: Deps,
}

impl DeviceService for Devices {
    async fn list_devices(&self, cx: &Cx, reach: Reach, message: ListDevicesRequest) -> Result<ListDevicesResponse> {
        let request = paging::request(cx, &message)?;
        let ListDevicesRequest { user_id, status, platform, last_seen_before, last_seen_after, group_id, q, .. } =
            message;
        let filter = DeviceFilter { user_id, status, platform, last_seen_before, last_seen_after, group_id, q };
        let page = devices::page(cx, &self.deps.store, cx.tenant()?, &to_filter(filter)?, reach, request).await?;
        Ok(paging::response(page, to_proto))
    }

    async fn change_device(
        &self,
        cx: &Cx,
        action: ChangeDeviceAction,
        message: ChangeDeviceRequest,
    ) -> Result<ChangeDeviceResponse> {
        let action = match action {
            ChangeDeviceAction::Suspend => Action::Suspend,
            ChangeDeviceAction::Reactivate => Action::Reactivate,
            ChangeDeviceAction::Revoke => Action::Revoke,
            ChangeDeviceAction::Approve => Action::Approve,
            ChangeDeviceAction::Reject => Action::Reject,
            ChangeDeviceAction::Rename => Action::Rename(message.name().to_owned()),
            ChangeDeviceAction::ReEnroll => Action::ReEnroll,
            ChangeDeviceAction::ForceReauth => Action::ForceReauth,
        };
        let (tenant, id) = (cx.tenant()?.clone(), message.device_id().to_owned());
        let device = DeviceRef { tenant, id, version: message.if_version };
        let changed = devices::change(cx, &self.deps.store, &device, action, message.reason).await?;
        Ok(ChangeDeviceResponse {
            device: Some(to_proto(changed.device)),
            sessions_terminated: changed.sessions.cast_signed(),
            // The only response that contains the token.
            enrollment_token: changed.token.map(|text| text.expose().clone()),
        })
    }

    async fn change_devices(
        &self,
        cx: &Cx,
        action: ChangeDevicesAction,
        message: ChangeDevicesRequest,
    ) -> Result<ChangeDevicesResponse> {
        let action = match action {
            ChangeDevicesAction::Suspend => Action::Suspend,
            ChangeDevicesAction::Reactivate => Action::Reactivate,
            ChangeDevicesAction::Revoke => Action::Revoke,
            ChangeDevicesAction::Approve => Action::Approve,
            ChangeDevicesAction::Reject => Action::Reject,
            ChangeDevicesAction::ReEnroll => Action::ReEnroll,
            ChangeDevicesAction::ForceReauth => Action::ForceReauth,
        };
        let ChangeDevicesRequest { device_ids, filter, expected_count, dry_run, reason, .. } = message;
        let which = which(device_ids, filter, expected_count)?;
        let batch = Batch { which, action, reason, dry_run };
        let outcomes = batch::run(cx, &self.deps.store, cx.tenant()?, batch).await?;
        let failed = outcomes.iter().filter(|outcome| outcome.done.is_err()).count();
        Ok(ChangeDevicesResponse {
            succeeded: (outcomes.len() - failed) as i64,
            failed: failed as i64,
            results: outcomes.into_iter().map(|outcome| outcome_to_proto(cx, outcome)).collect(),
        })
    }
}

/// The devices that a request selects, in one of two ways.
fn which(ids: Vec<String>, filter: Option<DeviceFilter>, expected: Option<i64>) -> Result<Which> {
    let invalid = |field: &str, message: &'static str| Err(Error::invalid(Reason::InvalidArgument, field, message));
    match (filter, expected) {
        (Some(_), _) if !ids.is_empty() => invalid("filter", "device_ids and filter exclude each other"),
        (Some(filter), Some(expected)) => Ok(Which::Filter(to_filter(filter)?, expected)),
        (Some(_), None) => Err(Error::missing_field("expected_count")),
        (None, Some(_)) => invalid("expected_count", "expected_count is only used with a filter"),
        (None, None) => Ok(Which::Ids(ids)),
    }
}

fn to_filter(filter: DeviceFilter) -> Result<Filter> {
    Ok(Filter {
        user: filter.user_id,
        status: filter.status,
        platform: filter.platform,
        seen_before: filter.last_seen_before.map(|at| time("last_seen_before", &at)).transpose()?,
        seen_after: filter.last_seen_after.map(|at| time("last_seen_after", &at)).transpose()?,
        group: filter.group_id,
        text: filter.q,
    })
}

fn outcome_to_proto(cx: &Cx, outcome: Outcome) -> DeviceOutcome {
    let outcome_of =
        |ok, token| DeviceOutcome { device_id: outcome.id, ok, enrollment_token: token, ..Default::default() };
    match outcome.done {
        // The only response that contains the token.
        Ok(token) => outcome_of(true, token.map(|text| text.expose().clone())),
        Err(error) => {
            log(cx, &error);
            let (code, detail) = (dialect::code_of(&error), error.message.clone().into_owned());
            DeviceOutcome { error: Some(code.to_owned()), detail: Some(detail), ..outcome_of(false, None) }
        }
    }
}

fn to_proto(device: Device) -> proto::Device {
    let (id, tenant_id) = (device.shown_id(), device.tenant.zero_trust());
    let row = device.row;
    proto::Device {
        id,
        tenant_id,
        user_id: row.account_id.map(|id| IdKind::User.show(id)),
        name: row.name,
        platform: row.platform.as_str().to_owned(),
        os_version: row.os_version,
        client_version: row.client_version,
        status: row.status.as_str().to_owned(),
        key_thumbprint: device.credential.as_ref().map(|credential| credential.thumbprint.clone()),
        credential: device.credential.map(credential_to_proto),
        last_seen_at: row.last_seen_at.map(|at| timestamp(at.time())),
        last_ip: row.last_ip,
        enrolled_via: row.enrolled_via.as_str().to_owned(),
        group_ids: row.group_ids.iter().map(|id| IdKind::Group.show(*id)).collect(),
        ephemeral: row.ephemeral,
        labels: row.labels.0.into_iter().collect(),
        version: row.version,
        created_at: Some(timestamp(row.created_at.time())),
        updated_at: Some(timestamp(row.updated_at.time())),
        policy: device.report.as_ref().and_then(policy_to_proto),
        last_report: device.report.and_then(|report| report.session).map(|session| report_to_proto(session.0)),
    }
}

fn policy_to_proto(report: &PolicyReportRow) -> Option<DevicePolicy> {
    Some(DevicePolicy {
        version: report.applied_version?,
        digest: report.applied_digest.clone(),
        channel: report.applied_channel.map(|channel| channel.as_str().to_owned()),
    })
}

fn report_to_proto(session: SessionReport) -> DeviceReport {
    DeviceReport {
        session_id: session.session_id,
        event: session.event,
        at: Some(timestamp(Stamp::from_micros(session.at).time())),
        rtt_ms: session.rtt_ms,
        loss: session.loss,
        path_changes: session.path_changes,
        bytes_in: session.bytes_in,
        bytes_out: session.bytes_out,
    }
}

fn credential_to_proto(credential: CredentialRow) -> DeviceCredential {
    DeviceCredential {
        kind: "x509".to_owned(),
        serial: credential.id.simple().to_string(),
        not_before: Some(timestamp(credential.not_before.time())),
        not_after: Some(timestamp(credential.not_after.time())),
        revoked_at: credential.revoked_at.map(|at| timestamp(at.time())),
    }
}
