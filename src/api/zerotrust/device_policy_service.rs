//! `DevicePolicyService`: the signed policy of a device.

use crate::{
    api::{
        Deps, handlers::zerotrust::v1::device_policy_service::DevicePolicyService, timestamp,
        zerotrust::artifacts::envelope,
    },
    base::{Basis, Cx, Error, IdKind, Result, error::Reason},
    policy::bundles::{self, Bundle},
    proto::zerotrust::v1::{
        GetPolicyBundleRequest, GetPolicyBundleResponse, GetPolicyDigestRequest, GetPolicyDigestResponse,
    },
};

pub struct DevicePolicies {
    pub(super) deps: Deps,
}

impl DevicePolicyService for DevicePolicies {
    async fn get_policy_bundle(&self, cx: &Cx, message: GetPolicyBundleRequest) -> Result<GetPolicyBundleResponse> {
        let bundle = self.bundle(cx, message.device_id).await?;
        Ok(GetPolicyBundleResponse { envelope: Some(envelope(&bundle.envelope)?), digest: bundle.digest })
    }

    async fn get_policy_digest(&self, cx: &Cx, message: GetPolicyDigestRequest) -> Result<GetPolicyDigestResponse> {
        let bundle = self.bundle(cx, message.device_id).await?;
        Ok(GetPolicyDigestResponse {
            version: bundle.version,
            digest: bundle.digest,
            channel: bundle.channel.as_str().to_owned(),
            published_at: Some(timestamp(bundle.issued_at)),
            expires_at: Some(timestamp(bundle.expires_at)),
        })
    }
}

impl DevicePolicies {
    async fn bundle(&self, cx: &Cx, named: Option<String>) -> Result<Bundle> {
        let device = device(cx, named)?;
        bundles::of_device(cx, &self.deps.store, &self.deps.trust, cx.tenant()?, &device).await
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
