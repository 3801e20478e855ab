//! `DevicePolicyService`: the signed policy of a device.

use futures::{Stream, StreamExt};

use super::wait::{self, On, Wait};
use crate::{
    api::{
        Deps,
        handlers::zerotrust::v1::device_policy_service::DevicePolicyService,
        timestamp,
        zerotrust::{artifacts::envelope, watched::watch},
    },
    base::{Basis, Cx, Error, IdKind, Result, error::Reason},
    edge::Topic,
    policy::{
        bundles::{self, Bundle},
        current,
    },
    proto::zerotrust::v1::{
        GetPolicyBundleRequest, GetPolicyBundleResponse, GetPolicyDigestRequest, GetPolicyDigestResponse,
        WatchPolicyBundleRequest, WatchPolicyBundleResponse,
    },
    streams::Interest,
    tenants,
};

pub struct DevicePolicies {
    pub(super) deps: Deps,
}

impl DevicePolicyService for DevicePolicies {
    async fn get_policy_bundle(&self, cx: &Cx, message: GetPolicyBundleRequest) -> Result<GetPolicyBundleResponse> {
        let wait = Wait::read(message.wait, message.known)?;
        let bundle = self.bundle(cx, message.device_id, wait).await?;
        Ok(GetPolicyBundleResponse { envelope: Some(envelope(&bundle.envelope)?), digest: bundle.digest })
    }

    async fn get_policy_digest(&self, cx: &Cx, message: GetPolicyDigestRequest) -> Result<GetPolicyDigestResponse> {
        let wait = Wait::read(message.wait, message.known)?;
        let bundle = self.bundle(cx, message.device_id, wait).await?;
        Ok(GetPolicyDigestResponse {
            version: bundle.version,
            digest: bundle.digest,
            channel: bundle.channel.as_str().to_owned(),
            published_at: Some(timestamp(bundle.issued_at)),
            expires_at: Some(timestamp(bundle.expires_at)),
        })
    }

    async fn watch_policy_bundle(
        &self,
        cx: &Cx,
        message: WatchPolicyBundleRequest,
    ) -> Result<impl Stream<Item = Result<WatchPolicyBundleResponse>> + Send + 'static> {
        let scope = tenants::reach(cx, &self.deps.store, cx.tenant()?).await?;
        let device = IdKind::Device.read(&device(cx, message.device_id)?).ok_or_else(current::not_found)?;
        let events = watch(cx, &self.deps.streams, (scope, Topic::DevicePolicy { device }), message.resume)?;
        Ok(events.map(|event| event.map(|event| WatchPolicyBundleResponse { event: Some(event) })))
    }
}

impl DevicePolicies {
    async fn bundle(&self, cx: &Cx, named: Option<String>, wait: Option<Wait>) -> Result<Bundle> {
        let (device, tenant) = (device(cx, named)?, cx.tenant()?);
        let read = || bundles::of_device(cx, &self.deps.store, &self.deps.trust, tenant, &device);
        wait::current(cx, &self.deps, On::subject(Interest::Policies, &device), wait, read).await
    }
}

/// The device of a call: the one that calls, or the one that a gateway names.
fn device(cx: &Cx, named: Option<String>) -> Result<String> {
    match (cx.caller.basis, named) {
        (Basis::Device { id, .. }, None) => Ok(IdKind::Device.show(id)),
        (Basis::Device { id, .. }, Some(named)) if IdKind::Device.read(&named) == Some(id) => Ok(named),
        (Basis::Device { .. }, Some(_)) => {
            Err(Error::denied(Reason::PermissionDenied, "a device reads only its own policy; leave out device_id"))
        }
        (_, Some(named)) => Ok(named),
        (_, None) => Err(Error::missing_field("device_id")),
    }
}
