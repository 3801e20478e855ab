//! `HostRegistrationService`: agents register their hosts.

use super::host_service::to_proto;
use crate::{
    api::{Deps, handlers::controlplane::v1::host_registration_service::HostRegistrationService, structs::from_value},
    base::{Cx, Result, Secret},
    enrollment::{
        hosts::{self, Description, Registration},
        throttle::Throttle,
    },
    proto::controlplane::v1::{Host as HostMessage, RegisterHostRequest, RegisterHostResponse},
};

pub struct HostRegistrations {
    pub(super) deps: Deps,
    pub(super) throttle: Throttle,
}

impl HostRegistrationService for HostRegistrations {
    async fn register_host(&self, cx: &Cx, message: RegisterHostRequest) -> Result<RegisterHostResponse> {
        let registered = hosts::register(cx, &self.deps.store, &self.throttle, registration(message)).await?;
        let host_token = registered.token.expose().clone();
        Ok(to_response(to_proto(registered.host), host_token))
    }
}

/// The message without what the contract accepts and this server has no use for.
fn registration(message: RegisterHostRequest) -> Registration {
    let secret = |text: Option<String>| text.filter(|text| !text.is_empty()).map(Secret::new);
    Registration {
        host: Description {
            active: message.active.unwrap_or_default(),
            fqdn: message.fqdn.unwrap_or_default(),
            hostname: message.hostname.unwrap_or_default(),
            ipv4: message.ipv4,
            ipv6: message.ipv6,
            script_execution_enabled: message.script_execution_enabled,
            is_privileged: message.is_privileged,
            enabled_shells: message.enabled_shells,
            agent_version: message.agent_version,
            agent_capabilities: message.agent_capabilities.map(from_value).filter(|value| !value.is_null()),
        },
        enrollment_token: secret(message.enrollment_token),
        host_token: secret(message.host_token),
    }
}

fn to_response(host: HostMessage, host_token: String) -> RegisterHostResponse {
    RegisterHostResponse {
        id: host.id,
        tenant_id: host.tenant_id,
        active: host.active,
        fqdn: host.fqdn,
        hostname: host.hostname,
        ipv4: host.ipv4,
        ipv6: host.ipv6,
        script_execution_enabled: host.script_execution_enabled,
        is_privileged: host.is_privileged,
        enabled_shells: host.enabled_shells,
        agent_version: host.agent_version,
        agent_capabilities: host.agent_capabilities,
        approval_status: host.approval_status,
        created_at: host.created_at,
        last_access: host.last_access,
        host_token,
    }
}
