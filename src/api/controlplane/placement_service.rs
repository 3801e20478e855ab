//! `PlacementService`: where the databases of tenants are.

use crate::{
    api::{Deps, handlers::controlplane::v1::placement_service::PlacementService},
    base::{Cx, Result, TenantId},
    controlplane::placement::{self, Placement, PlacementInput},
    proto::controlplane::v1::{
        GetPlacementRequest, GetPlacementResponse, Placement as PlacementMessage, ReplacePlacementRequest,
        ReplacePlacementResponse,
    },
};

pub struct Placements {
    pub(super) deps: Deps,
}

impl PlacementService for Placements {
    async fn get_placement(&self, cx: &Cx, _: GetPlacementRequest) -> Result<GetPlacementResponse> {
        let (tenant, placement) = placement::get(cx, &self.deps.store, cx.tenant()?).await?;
        Ok(GetPlacementResponse { placement: Some(to_proto(tenant, placement)) })
    }

    async fn replace_placement(&self, cx: &Cx, message: ReplacePlacementRequest) -> Result<ReplacePlacementResponse> {
        let ReplacePlacementRequest { host, port, dbname, region, tier, openbao_role, .. } = message;
        let input = PlacementInput { host, port, dbname, region, tier, openbao_role };
        let (tenant, placement) = placement::replace(cx, &self.deps.store, cx.tenant()?, input).await?;
        Ok(ReplacePlacementResponse { placement: Some(to_proto(tenant, placement)) })
    }
}

pub(super) fn to_proto(tenant: TenantId, placement: Placement) -> PlacementMessage {
    PlacementMessage {
        tenant_id: tenant.dashed(),
        host: placement.host,
        port: placement.port.map(i32::from),
        dbname: placement.dbname,
        region: placement.region,
        tier: placement.tier.as_str().to_owned(),
        openbao_role: placement.openbao_role,
    }
}
