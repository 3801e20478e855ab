//! `TrustService`: trust anchors.

use futures::{Stream, StreamExt};

use crate::{
    api::{
        Deps,
        handlers::zerotrust::v1::trust_service::TrustService,
        zerotrust::{
            artifacts::envelope,
            wait::{self, On, Wait},
            watched::watch,
        },
    },
    base::{Cx, Result},
    edge::Topic,
    proto::zerotrust::v1::{
        GetTrustAnchorsRequest, GetTrustAnchorsResponse, WatchTrustAnchorsRequest, WatchTrustAnchorsResponse,
    },
    streams::Interest,
    tenants,
};

pub struct TrustAnchors {
    pub(super) deps: Deps,
}

impl TrustService for TrustAnchors {
    async fn get_trust_anchors(&self, cx: &Cx, message: GetTrustAnchorsRequest) -> Result<GetTrustAnchorsResponse> {
        let wait = Wait::read(message.wait, message.known)?;
        let (trust, tenant, sequence) = (&self.deps.trust, cx.tenant()?, message.sequence);
        // A set with a given number never changes.
        let wait = wait.filter(|_| sequence.is_none());
        let read = || trust.anchors(cx, tenant, sequence);
        let set = wait::current(cx, &self.deps, On::tenant(Interest::Anchors), wait, read).await?;
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
