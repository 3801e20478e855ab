//! `GatewayRuntimeService`: what a gateway needs to decide about connections.

use crate::{
    api::{
        Deps, handlers::zerotrust::v1::gateway_runtime_service::GatewayRuntimeService, zerotrust::artifacts::envelope,
    },
    base::{Basis, Cx, Error, IdKind, Result},
    policy::{canary, gateway_view::GatewayView},
    proto::zerotrust::v1::{
        GetGatewayPolicyBundleRequest, GetGatewayPolicyBundleResponse, GetGatewayTrustAnchorsRequest,
        GetGatewayTrustAnchorsResponse,
    },
    tenants,
};

pub struct GatewayRuntime {
    pub(super) deps: Deps,
}

impl GatewayRuntimeService for GatewayRuntime {
    async fn get_gateway_trust_anchors(
        &self,
        cx: &Cx,
        _: GetGatewayTrustAnchorsRequest,
    ) -> Result<GetGatewayTrustAnchorsResponse> {
        let set = self.deps.trust.anchors(cx, cx.tenant()?, None).await?;
        Ok(GetGatewayTrustAnchorsResponse { envelope: Some(envelope(&set.envelope)?), digest: set.digest })
    }

    async fn get_gateway_policy_bundle(
        &self,
        cx: &Cx,
        _: GetGatewayPolicyBundleRequest,
    ) -> Result<GetGatewayPolicyBundleResponse> {
        let scope = tenants::reach(cx, &self.deps.store, cx.tenant()?).await?;
        let view = GatewayView { bucket: canary::bucket(&gateway(cx)?) };
        let bundle = self.deps.trust.artifact(scope, view).await?;
        Ok(GetGatewayPolicyBundleResponse { envelope: Some(envelope(&bundle.envelope)?), digest: bundle.digest })
    }
}

/// The id of the gateway that calls.
fn gateway(cx: &Cx) -> Result<String> {
    match cx.caller.basis {
        Basis::Gateway { id, .. } => Ok(IdKind::Gateway.show(id)),
        _ => Err(Error::internal("a route of gateways was called by another caller")),
    }
}
