//! `HostService`: the hosts of tenants.

use crate::{
    api::{
        Deps, List, handlers::controlplane::v1::host_service::HostService, list_response, structs::to_value, timestamp,
    },
    base::{Cx, Result, ids::read_dashed},
    enrollment::hosts::{self, Host},
    proto::controlplane::v1::{
        DeleteHostRequest, DeleteHostResponse, Host as HostMessage, ListHostsRequest, ListHostsResponse,
    },
};

/// Nobody approves hosts here (control-plane contract, section 6).
const APPROVAL: &str = "pending";

pub struct Hosts {
    pub(super) deps: Deps,
}

impl HostService for Hosts {
    async fn list_hosts(&self, cx: &Cx, _: ListHostsRequest) -> Result<List<ListHostsResponse>> {
        let found = hosts::list(cx, &self.deps.store, cx.tenant()?).await?;
        Ok(list_response(cx, found, |page| ListHostsResponse { hosts: page.into_iter().map(to_proto).collect() }))
    }

    async fn delete_host(&self, cx: &Cx, message: DeleteHostRequest) -> Result<DeleteHostResponse> {
        hosts::remove(cx, &self.deps.store, cx.tenant()?, read_dashed(&message.host_id)).await?;
        Ok(DeleteHostResponse {})
    }
}

pub(super) fn to_proto(host: Host) -> HostMessage {
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
