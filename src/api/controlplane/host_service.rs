//! `HostService`: hosts and their registration.

use crate::{
    api::{
        Deps, List,
        handlers::controlplane::v1::host_service::HostService,
        list_response,
        structs::{from_value, to_value},
        timestamp,
    },
    base::{Cx, Result, Secret, ids::read_dashed},
    enrollment::{
        hosts::{self, Description, Host, Registration},
        throttle::Throttle,
    },
    proto::controlplane::v1::{
        DeleteHostRequest, DeleteHostResponse, Host as HostMessage, ListHostsRequest, ListHostsResponse,
        RegisterHostRequest, RegisterHostResponse,
    },
};

/// Nobody approves hosts here (control-plane contract, section 6).
const APPROVAL: &str = "pending";

pub struct Hosts {
    pub(super) deps: Deps,
    pub(super) throttle: Throttle,
}

impl HostService for Hosts {
    async fn register_host(&self, cx: &Cx, message: RegisterHostRequest) -> Result<RegisterHostResponse> {
        let registered = hosts::register(cx, &self.deps.store, &self.throttle, registration(message)).await?;
        let host_token = registered.token.expose().clone();
        Ok(to_response(to_proto(registered.host), host_token))
    }

    async fn list_hosts(&self, cx: &Cx, _: ListHostsRequest) -> Result<List<ListHostsResponse>> {
        let found = hosts::list(cx, &self.deps.store, cx.tenant()?).await?;
        Ok(list_response(cx, found, |page| ListHostsResponse { hosts: page.into_iter().map(to_proto).collect() }))
    }

    async fn delete_host(&self, cx: &Cx, message: DeleteHostRequest) -> Result<DeleteHostResponse> {
        hosts::remove(cx, &self.deps.store, cx.tenant()?, read_dashed(&message.host_id)).await?;
        Ok(DeleteHostResponse {})
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

fn to_proto(host: Host) -> HostMessage {
    let (tenant, row) = (host.tenant, host.row);
    HostMessage {
        id: row.id.to_string(),
        tenant_id: tenant.dashed(),
        active: row.active,
        fqdn: row.fqdn,
        hostname: row.hostname,
        ipv4: row.ipv4,
        ipv6: row.ipv6,
        script_execution_enabled: row.script_execution_enabled,
        is_privileged: row.is_privileged,
        enabled_shells: row.enabled_shells.0,
        agent_version: Some(row.agent_version).filter(|version| !version.is_empty()),
        agent_capabilities: Some(to_value(row.agent_capabilities.0)),
        approval_status: APPROVAL.to_owned(),
        created_at: Some(timestamp(row.created_at.time())),
        last_access: Some(timestamp(row.last_registered_at.time())),
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
