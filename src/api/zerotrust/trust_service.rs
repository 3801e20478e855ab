//! `TrustService`: trust anchors.

use crate::{
    api::{Deps, handlers::zerotrust::v1::trust_service::TrustService, zerotrust::artifacts::envelope},
    base::{Cx, Result},
    proto::zerotrust::v1::{GetTrustAnchorsRequest, GetTrustAnchorsResponse},
};

pub struct TrustAnchors {
    pub(super) deps: Deps,
}

impl TrustService for TrustAnchors {
    async fn get_trust_anchors(&self, cx: &Cx, message: GetTrustAnchorsRequest) -> Result<GetTrustAnchorsResponse> {
        let set = self.deps.trust.anchors(cx, cx.tenant()?, message.sequence).await?;
        Ok(GetTrustAnchorsResponse { envelope: Some(envelope(&set.envelope)?), digest: set.digest })
    }
}
