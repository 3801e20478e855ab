//! `AccessSessionService`: sessions of devices at gateways.

use super::request::time;
use crate::{
    access::sessions::{self, Filter, Session, Which},
    api::{
        Deps,
        handlers::zerotrust::v1::access_session_service::{AccessSessionService, ChangeAccessSessionsAction},
        paging, timestamp,
    },
    base::{Cx, Error, IdKind, Reach, Result, error::Reason},
    proto::zerotrust::v1::{
        AccessSession, ChangeAccessSessionsRequest, ChangeAccessSessionsResponse, ListAccessSessionsRequest,
        ListAccessSessionsResponse,
    },
};

pub struct AccessSessions {
    pub(super) deps: Deps,
}

impl AccessSessionService for AccessSessions {
    async fn list_access_sessions(
        &self,
        cx: &Cx,
        reach: Reach,
        message: ListAccessSessionsRequest,
    ) -> Result<ListAccessSessionsResponse> {
        let request = paging::request(cx, &message)?;
        let ListAccessSessionsRequest { user_id, device_id, gateway_id, pool_id, status, since, .. } = message;
        let since = since.map(|at| time("since", &at)).transpose()?;
        let filter = Filter { user: user_id, device: device_id, gateway: gateway_id, pool: pool_id, status, since };
        let page = sessions::page(cx, &self.deps.store, cx.tenant()?, &filter, reach, request).await?;
        Ok(paging::response(page, to_proto))
    }

    async fn change_access_sessions(
        &self,
        cx: &Cx,
        action: ChangeAccessSessionsAction,
        message: ChangeAccessSessionsRequest,
    ) -> Result<ChangeAccessSessionsResponse> {
        match action {
            ChangeAccessSessionsAction::Terminate => {
                let reason = message.reason.clone();
                let which = which(message)?;
                let ended = sessions::terminate(cx, &self.deps.store, cx.tenant()?, which, reason).await?;
                Ok(ChangeAccessSessionsResponse { terminated: ended.cast_signed() })
            }
        }
    }
}

/// The sessions that a request selects, in exactly one way.
fn which(message: ChangeAccessSessionsRequest) -> Result<Which> {
    let ChangeAccessSessionsRequest { session_ids, user_id, device_id, gateway_id, .. } = message;
    let ids = Some(session_ids).filter(|ids| !ids.is_empty());
    match (ids, user_id, device_id, gateway_id) {
        (Some(ids), None, None, None) => Ok(Which::Ids(ids)),
        (None, Some(user), None, None) => Ok(Which::User(user)),
        (None, None, Some(device), None) => Ok(Which::Device(device)),
        (None, None, None, Some(gateway)) => Ok(Which::Gateway(gateway)),
        (None, None, None, None) => Err(Error::missing_field("session_ids")),
        _ => {
            let message = "give only one of session_ids, user_id, device_id and gateway_id";
            Err(Error::invalid(Reason::InvalidArgument, "session_ids", message))
        }
    }
}

fn to_proto(session: Session) -> AccessSession {
    let (id, end_reason) = (session.shown_id(), session.end_reason());
    let row = session.row;
    AccessSession {
        id,
        tenant_id: session.tenant.zero_trust(),
        user_id: row.account_id.map(|id| IdKind::User.show(id)),
        device_id: IdKind::Device.show(row.device_id),
        gateway_id: IdKind::Gateway.show(row.gateway_id),
        pool_id: IdKind::GatewayPool.show(row.pool_id),
        client_ip: row.client_ip,
        auth_mode: row.auth_mode,
        policy_version: row.policy_version,
        grant_id: Some(row.grant_id).filter(|id| !id.is_nil()).map(|id| IdKind::Grant.show(id)),
        status: session.status.as_str().to_owned(),
        end_reason,
        started_at: Some(timestamp(row.started_at.time())),
        last_activity_at: Some(timestamp(row.last_activity_at.time())),
        ended_at: row.ended_at.map(|at| timestamp(at.time())),
        max_end: Some(timestamp(row.max_end.time())),
        bytes_in: row.bytes_in,
        bytes_out: row.bytes_out,
        virtual_ip: row.virtual_ip,
        admitted_offline: row.admitted_offline,
    }
}
