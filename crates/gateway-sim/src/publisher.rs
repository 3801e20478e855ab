//! An administrator who publishes policies while the gateways of a run follow them.

use std::time::Instant;

use anyhow::{Context as _, Result};
use tenantry_proto::zerotrust::v1::{
    PolicyCanary, PolicyDocument, PolicyRoute, PublishPolicyRequest, policy_service_client::PolicyServiceClient,
};
use tonic::{Request, metadata::MetadataValue, transport::Channel};

/// Publishes policies of a tenant.
#[derive(Clone, Debug)]
pub struct Publisher {
    /// The channel to the server.
    pub channel: Channel,
    /// A token of an administrator of the tenant, or of the platform.
    pub token: String,
    /// The tenant, if the token is of the platform.
    pub tenant: Option<String>,
}

/// For whom a policy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selected {
    /// All gateways and devices.
    Stable,
    /// A percentage.
    Canary(i32),
}

impl Publisher {
    /// Publishes a policy with this number of routes, different in each call. Returns its version, and when the call began.
    pub async fn publish(&self, selected: Selected, routes: usize) -> Result<(i64, Instant)> {
        let routes = (0..routes).map(|number| PolicyRoute {
            id: format!("r{number}"),
            cidr: format!("10.{}.{}.0/24", number / 256 % 256, number % 256),
            protocol: Some("tcp".to_owned()),
            ports: Some(rand::random_range(1024..65_536_u32).to_string()),
            action: "allow".to_owned(),
        });
        let policy = PolicyDocument { routes: routes.collect(), ..PolicyDocument::default() };
        self.send(PublishPolicyRequest { policy: Some(policy), ..request(selected) }).await
    }

    /// Publishes the content of an earlier version.
    pub async fn repeat(&self, selected: Selected, version: i64) -> Result<(i64, Instant)> {
        self.send(PublishPolicyRequest { from_version: Some(version), ..request(selected) }).await
    }

    async fn send(&self, message: PublishPolicyRequest) -> Result<(i64, Instant)> {
        let mut call = Request::new(PublishPolicyRequest { tenant_id: self.tenant.clone(), ..message });
        let bearer = MetadataValue::try_from(format!("Bearer {}", self.token)).context("the token is not a header")?;
        call.metadata_mut().insert("authorization", bearer);
        let began = Instant::now();
        let mut client = PolicyServiceClient::new(self.channel.clone());
        let published = client.publish_policy(call).await.context("cannot publish")?.into_inner();
        Ok((published.answer.unwrap_or_default().version, began))
    }
}

fn request(selected: Selected) -> PublishPolicyRequest {
    let (channel, canary) = match selected {
        Selected::Stable => ("stable", None),
        Selected::Canary(percent) => {
            ("canary", Some(PolicyCanary { percent: Some(percent), ..PolicyCanary::default() }))
        }
    };
    PublishPolicyRequest { channel: Some(channel.to_owned()), canary, ..PublishPolicyRequest::default() }
}
