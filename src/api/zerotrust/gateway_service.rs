//! `GatewayService`: gateways of a tenant.

use crate::{
    api::{
        Deps,
        handlers::zerotrust::v1::gateway_service::{ChangeGatewayAction, GatewayService},
        paging, timestamp,
    },
    base::{Cx, IdKind, Result},
    fleet::gateways::{self, Action, Gateway, GatewayRef, State},
    proto::zerotrust::v1::{
        self as proto, ChangeGatewayRequest, ChangeGatewayResponse, GatewayApplied, GatewayLoad, GatewaySummary,
        GetGatewayHealthRequest, GetGatewayHealthResponse, ListGatewaysRequest, ListGatewaysResponse,
    },
    store::columns::Applied,
};

pub struct Gateways {
    pub(super) deps: Deps,
}

impl GatewayService for Gateways {
    async fn list_gateways(&self, cx: &Cx, message: ListGatewaysRequest) -> Result<ListGatewaysResponse> {
        let request = paging::request(cx, &message)?;
        let (store, heartbeat) = (&self.deps.store, self.deps.settings.heartbeat);
        let page = gateways::page(cx, store, cx.tenant()?, message.pool_id.as_deref(), request, heartbeat).await?;
        Ok(paging::response(page, to_proto))
    }

    async fn get_gateway_health(&self, cx: &Cx, message: GetGatewayHealthRequest) -> Result<GetGatewayHealthResponse> {
        let (store, heartbeat) = (&self.deps.store, self.deps.settings.heartbeat);
        let found = gateways::present(cx, store, cx.tenant()?, message.pool_id.as_deref(), heartbeat).await?;
        Ok(GetGatewayHealthResponse {
            summary: Some(summary(&found)),
            gateways: found.into_iter().map(to_proto).collect(),
        })
    }

    async fn change_gateway(
        &self,
        cx: &Cx,
        action: ChangeGatewayAction,
        message: ChangeGatewayRequest,
    ) -> Result<ChangeGatewayResponse> {
        let action = match action {
            ChangeGatewayAction::Disable => Action::Disable,
            ChangeGatewayAction::Enable => Action::Enable,
            ChangeGatewayAction::Drain => Action::Drain { seconds: message.drain_seconds, force: message.force },
            ChangeGatewayAction::Undrain => Action::Undrain,
            ChangeGatewayAction::Revoke => Action::Revoke,
            ChangeGatewayAction::Delete => Action::Delete,
        };
        let (tenant, id) = (cx.tenant()?.clone(), message.gateway_id().to_owned());
        let heartbeat = self.deps.settings.heartbeat;
        let gateway = GatewayRef { tenant, id, version: message.if_version };
        let gateway = gateways::change(cx, &self.deps.store, &gateway, action, message.reason, heartbeat).await?;
        Ok(ChangeGatewayResponse { gateway: Some(to_proto(gateway)) })
    }
}

fn summary(gateways: &[Gateway]) -> GatewaySummary {
    let count = |state| i32::try_from(gateways.iter().filter(|gateway| gateway.health.state == state).count());
    let count = |state| count(state).unwrap_or(i32::MAX);
    GatewaySummary {
        registered: count(State::Registered),
        online: count(State::Online),
        degraded: count(State::Degraded),
        offline: count(State::Offline),
        draining: count(State::Draining),
        disabled: count(State::Disabled),
    }
}

fn to_proto(gateway: Gateway) -> proto::Gateway {
    let (id, tenant_id) = (gateway.shown_id(), gateway.tenant.zero_trust());
    let (row, health) = (gateway.row, gateway.health);
    let load = health.totals.map(|totals| GatewayLoad {
        sessions: totals.active_sessions,
        max_sessions: health.max_sessions,
        cpu: totals.cpu,
        mem: totals.mem,
        mbps: totals.mbps,
    });
    proto::Gateway {
        id,
        tenant_id,
        name: row.name,
        pool_id: IdKind::GatewayPool.show(row.pool_id),
        region: row.region,
        endpoints: row.endpoints.0,
        public_key: gateway.credential.map(|credential| credential.public_key),
        gateway_version: row.gateway_version,
        state: health.state.as_str().to_owned(),
        reasons: health.causes.iter().map(|cause| cause.as_str().to_owned()).collect(),
        config_drift: health.drifts,
        // A certificate is valid for some years at most.
        cert_days_left: health.certificate_days.map(|days| i32::try_from(days).unwrap_or(i32::MAX)),
        applied: health.applied.map(applied_to_proto),
        load,
        drain_deadline: row.drain_deadline.map(|at| timestamp(at.time())),
        last_seen_at: row.last_seen_at.map(|at| timestamp(at.time())),
        last_ip: row.last_ip,
        version: row.version,
        created_at: Some(timestamp(row.created_at.time())),
        updated_at: Some(timestamp(row.updated_at.time())),
    }
}

fn applied_to_proto(applied: Applied) -> GatewayApplied {
    let Applied { policy_version, anchors_sequence, spc_sequence, config_version } = applied;
    GatewayApplied { policy_version, anchors_sequence, spc_sequence, config_version }
}
