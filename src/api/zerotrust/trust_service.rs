//! `TrustService`: trust anchors.

use futures::{Stream, StreamExt};

use crate::{
    api::{
        Deps,
        handlers::zerotrust::v1::trust_service::TrustService,
        zerotrust::{artifacts::envelope, watched::watch},
    },
    base::{Cx, Result},
    edge::Topic,
    proto::zerotrust::v1::{
        GetTrustAnchorsRequest, GetTrustAnchorsResponse, WatchTrustAnchorsRequest, WatchTrustAnchorsResponse,
    },
    tenants,
};

pub struct TrustAnchors {
    pub(super) deps: Deps,
}

impl TrustService for TrustAnchors {
    async fn get_trust_anchors(&self, cx: &Cx, message: GetTrustAnchorsRequest) -> Result<GetTrustAnchorsResponse> {
        let set = self.deps.trust.anchors(cx, cx.tenant()?, message.sequence).await?;
        Ok(GetTrustAnchorsResponse { envelope: Some(envelope(&set.envelope)?), digest: set.digest })
    }

    async fn watch_trust_anchors(
        &self,
        cx: &Cx,
        message: WatchTrustAnchorsRequest,
    ) -> Result<impl Stream<Item = Result<WatchTrustAnchorsResponse>> + Send + 'static> {
        let scope = tenants::reach(cx, &self.deps.store, cx.tenant()?).await?;
        let events = watch(cx, &self.deps.streams, (scope, Topic::TrustAnchors), message.resume)?;
        Ok(events.map(|event| event.map(|event| WatchTrustAnchorsResponse { event: Some(event) })))
    }
}
