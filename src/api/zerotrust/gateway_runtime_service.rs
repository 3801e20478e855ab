//! `GatewayRuntimeService`: what a gateway needs to decide about connections.

use futures::{Stream, StreamExt};
use uuid::Uuid;

use super::wait::{self, Awaited, On, Wait};
use crate::{
    api::{
        Deps,
        handlers::zerotrust::v1::gateway_runtime_service::GatewayRuntimeService,
        zerotrust::{artifacts::envelope, watched::watch},
    },
    base::{Basis, Cx, Error, IdKind, Result, TenantScope},
    edge::{self, Topic},
    fleet::gateways::DeploymentConfig,
    policy::{canary, gateway_view::GatewayView},
    proto::zerotrust::v1::{
        GetDeploymentConfigRequest, GetDeploymentConfigResponse, GetGatewayPolicyBundleRequest,
        GetGatewayPolicyBundleResponse, GetGatewaySpcBundleRequest, GetGatewaySpcBundleResponse,
        GetGatewayTrustAnchorsRequest, GetGatewayTrustAnchorsResponse, GetManifestRequest, GetManifestResponse,
        WatchDeploymentConfigRequest, WatchDeploymentConfigResponse, WatchGatewayPolicyBundleRequest,
        WatchGatewayPolicyBundleResponse, WatchGatewaySpcBundleRequest, WatchGatewaySpcBundleResponse,
        WatchGatewayTrustAnchorsRequest, WatchGatewayTrustAnchorsResponse, WatchManifestRequest, WatchManifestResponse,
    },
    spc::bundles,
    streams::Interest,
    tenants,
};

pub struct GatewayRuntime {
    pub(super) deps: Deps,
}

impl GatewayRuntimeService for GatewayRuntime {
    async fn get_gateway_trust_anchors(
        &self,
        cx: &Cx,
        message: GetGatewayTrustAnchorsRequest,
    ) -> Result<GetGatewayTrustAnchorsResponse> {
        let wait = Wait::read(message.wait, message.known)?;
        let scope = self.scope(cx).await?;
        let read = || self.deps.trust.latest_anchors(scope);
        let set = self.current(cx, Interest::Anchors, wait, read).await?;
        Ok(GetGatewayTrustAnchorsResponse { envelope: Some(envelope(&set.envelope)?), digest: set.digest })
    }

    async fn get_gateway_policy_bundle(
        &self,
        cx: &Cx,
        message: GetGatewayPolicyBundleRequest,
    ) -> Result<GetGatewayPolicyBundleResponse> {
        let wait = Wait::read(message.wait, message.known)?;
        let (scope, view) = (self.scope(cx).await?, GatewayView { bucket: bucket(cx)? });
        let read = || view.signed(&self.deps.store, &self.deps.trust, scope);
        let bundle = self.current(cx, Interest::Policies, wait, read).await?;
        Ok(GetGatewayPolicyBundleResponse { envelope: Some(envelope(&bundle.envelope)?), digest: bundle.digest })
    }

    async fn get_gateway_spc_bundle(
        &self,
        cx: &Cx,
        message: GetGatewaySpcBundleRequest,
    ) -> Result<GetGatewaySpcBundleResponse> {
        let wait = Wait::read(message.wait, message.known)?;
        let scope = self.scope(cx).await?;
        let read = || bundles::full(&self.deps.store, &self.deps.trust, scope);
        let bundle = self.current(cx, Interest::Spcs, wait, read).await?;
        Ok(GetGatewaySpcBundleResponse { envelope: Some(envelope(&bundle.envelope)?), digest: bundle.digest })
    }

    async fn watch_gateway_trust_anchors(
        &self,
        cx: &Cx,
        message: WatchGatewayTrustAnchorsRequest,
    ) -> Result<impl Stream<Item = Result<WatchGatewayTrustAnchorsResponse>> + Send + 'static> {
        let of = (self.scope(cx).await?, Topic::TrustAnchors);
        let events = watch(cx, &self.deps.streams, of, message.resume)?;
        Ok(events.map(|event| event.map(|event| WatchGatewayTrustAnchorsResponse { event: Some(event) })))
    }

    async fn watch_gateway_policy_bundle(
        &self,
        cx: &Cx,
        message: WatchGatewayPolicyBundleRequest,
    ) -> Result<impl Stream<Item = Result<WatchGatewayPolicyBundleResponse>> + Send + 'static> {
        let of = (self.scope(cx).await?, Topic::GatewayPolicy { bucket: bucket(cx)? });
        let events = watch(cx, &self.deps.streams, of, message.resume)?;
        Ok(events.map(|event| event.map(|event| WatchGatewayPolicyBundleResponse { event: Some(event) })))
    }

    async fn get_deployment_config(
        &self,
        cx: &Cx,
        message: GetDeploymentConfigRequest,
    ) -> Result<GetDeploymentConfigResponse> {
        let wait = Wait::read(message.wait, message.known)?;
        let (scope, gateway) = (self.scope(cx).await?, gateway(cx)?);
        let config = DeploymentConfig { gateway, heartbeat: self.deps.settings.heartbeat };
        let read = || self.deps.trust.artifact(scope, config);
        let found = self.current(cx, Interest::Pools, wait, read).await?;
        Ok(GetDeploymentConfigResponse { envelope: Some(envelope(&found.envelope)?), digest: found.digest })
    }

    async fn get_manifest(&self, cx: &Cx, message: GetManifestRequest) -> Result<GetManifestResponse> {
        let wait = Wait::read(message.wait, message.known)?;
        let (scope, gateway) = (self.scope(cx).await?, gateway(cx)?);
        let (store, trust) = (&self.deps.store, &self.deps.trust);
        let read = || edge::manifest(store, trust, scope, gateway, self.deps.settings.heartbeat);
        let found = self.current(cx, Interest::Materials, wait, read).await?;
        Ok(GetManifestResponse { envelope: Some(envelope(&found.envelope)?), digest: found.digest })
    }

    async fn watch_deployment_config(
        &self,
        cx: &Cx,
        message: WatchDeploymentConfigRequest,
    ) -> Result<impl Stream<Item = Result<WatchDeploymentConfigResponse>> + Send + 'static> {
        let of = (self.scope(cx).await?, Topic::DeploymentConfig { gateway: gateway(cx)? });
        let events = watch(cx, &self.deps.streams, of, message.resume)?;
        Ok(events.map(|event| event.map(|event| WatchDeploymentConfigResponse { event: Some(event) })))
    }

    async fn watch_manifest(
        &self,
        cx: &Cx,
        message: WatchManifestRequest,
    ) -> Result<impl Stream<Item = Result<WatchManifestResponse>> + Send + 'static> {
        let of = (self.scope(cx).await?, Topic::Manifest { gateway: gateway(cx)? });
        let events = watch(cx, &self.deps.streams, of, message.resume)?;
        Ok(events.map(|event| event.map(|event| WatchManifestResponse { event: Some(event) })))
    }

    async fn watch_gateway_spc_bundle(
        &self,
        cx: &Cx,
        message: WatchGatewaySpcBundleRequest,
    ) -> Result<impl Stream<Item = Result<WatchGatewaySpcBundleResponse>> + Send + 'static> {
        let of = (self.scope(cx).await?, Topic::SpcBundle);
        let events = watch(cx, &self.deps.streams, of, message.resume)?;
        Ok(events.map(|event| event.map(|event| WatchGatewaySpcBundleResponse { event: Some(event) })))
    }
}

impl GatewayRuntime {
    /// What `read` returns for the gateway that calls; if it has that already, only after a change or the time.
    async fn current<T, F>(
        &self,
        cx: &Cx,
        interest: Interest,
        wait: Option<Wait>,
        read: impl Fn() -> F + Send,
    ) -> Result<T>
    where
        T: Awaited,
        F: Future<Output = Result<T>> + Send,
    {
        let id = IdKind::Gateway.show(gateway(cx)?);
        wait::current(cx, &self.deps, On::subject(interest, &id), wait, read).await
    }

    /// The tenant of the gateway that calls.
    async fn scope(&self, cx: &Cx) -> Result<TenantScope> {
        tenants::reach(cx, &self.deps.store, cx.tenant()?).await
    }
}

/// The bucket of the gateway that calls, for canaries.
fn bucket(cx: &Cx) -> Result<u32> {
    gateway(cx).map(|id| canary::bucket(&IdKind::Gateway.show(id)))
}

/// The gateway that calls.
fn gateway(cx: &Cx) -> Result<Uuid> {
    match cx.caller.basis {
        Basis::Gateway { id, .. } => Ok(id),
        _ => Err(Error::internal("a route of gateways was called by another caller")),
    }
}
