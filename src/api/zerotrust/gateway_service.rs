//! `GatewayService`: gateways of a tenant.

use crate::{
    api::{
        Deps,
        handlers::zerotrust::v1::gateway_service::{ChangeGatewayAction, GatewayService},
        paging, timestamp,
    },
    base::{Cx, IdKind, Result},
    fleet::gateways::{self, Action, Gateway, GatewayRef},
    proto::zerotrust::v1::{
        self as proto, ChangeGatewayRequest, ChangeGatewayResponse, ListGatewaysRequest, ListGatewaysResponse,
    },
};

pub struct Gateways {
    pub(super) deps: Deps,
}

impl GatewayService for Gateways {
    async fn list_gateways(&self, cx: &Cx, message: ListGatewaysRequest) -> Result<ListGatewaysResponse> {
        let request = paging::request(cx, &message)?;
        let page = gateways::page(cx, &self.deps.store, cx.tenant()?, message.pool_id.as_deref(), request).await?;
        Ok(paging::response(page, |gateway| to_proto(cx, gateway)))
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
        let gateway = GatewayRef { tenant, id, version: message.if_version };
        let gateway = gateways::change(cx, &self.deps.store, &gateway, action, message.reason).await?;
        Ok(ChangeGatewayResponse { gateway: Some(to_proto(cx, gateway)) })
    }
}

fn to_proto(cx: &Cx, gateway: Gateway) -> proto::Gateway {
    let (id, tenant_id, state) = (gateway.shown_id(), gateway.tenant.zero_trust(), gateway.state(cx.clock.now()));
    let row = gateway.row;
    proto::Gateway {
        id,
        tenant_id,
        name: row.name,
        pool_id: IdKind::GatewayPool.show(row.pool_id),
        region: row.region,
        endpoints: row.endpoints.0,
        public_key: gateway.credential.map(|credential| credential.public_key),
        gateway_version: row.gateway_version,
        state: state.as_str().to_owned(),
        drain_deadline: row.drain_deadline.map(|at| timestamp(at.time())),
        last_seen_at: row.last_seen_at.map(|at| timestamp(at.time())),
        last_ip: row.last_ip,
        version: row.version,
        created_at: Some(timestamp(row.created_at.time())),
        updated_at: Some(timestamp(row.updated_at.time())),
    }
}
