//! `GatewayDirectoryService`: the directory of gateways.

use crate::{
    api::{
        Deps, handlers::zerotrust::v1::gateway_directory_service::GatewayDirectoryService,
        zerotrust::artifacts::envelope,
    },
    base::{Basis, Cx, Error, Result},
    fleet::directory::{self, Reader},
    proto::zerotrust::v1::{GetGatewayDirectoryRequest, GetGatewayDirectoryResponse},
};

pub struct GatewayDirectory {
    pub(super) deps: Deps,
}

impl GatewayDirectoryService for GatewayDirectory {
    async fn get_gateway_directory(
        &self,
        cx: &Cx,
        _: GetGatewayDirectoryRequest,
    ) -> Result<GetGatewayDirectoryResponse> {
        let reader = match cx.caller.basis {
            Basis::Device { id, .. } => Reader::Device(id),
            Basis::Gateway { .. } => Reader::Gateway,
            _ => return Err(Error::internal("a route of devices and gateways was called by another caller")),
        };
        let directory =
            directory::get(cx, &self.deps.store, &self.deps.trust, cx.tenant()?, reader, self.deps.settings.heartbeat)
                .await?;
        Ok(GetGatewayDirectoryResponse { envelope: Some(envelope(&directory.envelope)?), digest: directory.digest })
    }
}
