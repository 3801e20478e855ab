//! `PlatformService`: the policy for every project.

use crate::{
    api::{Deps, handlers::manager::v1::platform_service::PlatformService},
    base::{Cx, Result},
    manager::{
        CLUSTER,
        policy::{self, Policy},
    },
    proto::manager::v1::{
        GetPolicyRequest, GetPolicyResponse, Policy as PolicyMessage, QuotaCeilings, ReplacePolicyRequest,
        ReplacePolicyResponse,
    },
};

pub struct Platform {
    pub(super) deps: Deps,
}

impl PlatformService for Platform {
    async fn get_policy(&self, _: &Cx, _: GetPolicyRequest) -> Result<GetPolicyResponse> {
        let policy = policy::get(&self.deps.store).await?;
        Ok(GetPolicyResponse {
            policy: Some(PolicyMessage {
                image_allowlist: policy.image_allowlist,
                egress_baseline: policy.egress_baseline,
                quota_max: Some(QuotaCeilings {
                    requests_cpu: policy.max_requests_cpu,
                    requests_memory: policy.max_requests_memory,
                }),
                cluster: CLUSTER.to_owned(),
            }),
        })
    }

    async fn replace_policy(&self, cx: &Cx, message: ReplacePolicyRequest) -> Result<ReplacePolicyResponse> {
        let ceilings = message.quota_max.unwrap_or_default();
        let wanted = Policy {
            image_allowlist: message.image_allowlist,
            egress_baseline: message.egress_baseline,
            max_requests_cpu: ceilings.requests_cpu,
            max_requests_memory: ceilings.requests_memory,
        };
        policy::replace(cx, &self.deps.store, wanted).await?;
        Ok(ReplacePolicyResponse {})
    }
}
