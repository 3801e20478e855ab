//! `GatewayPoolService`: pools of gateways.

use prost_types::FieldMask;

use crate::{
    api::{
        Deps,
        handlers::zerotrust::v1::gateway_pool_service::{ChangeGatewayPoolAction, GatewayPoolService},
        paging, timestamp,
    },
    base::{Cx, IdKind, Result},
    fleet::pools::{self, Drain, GatewayPool, PoolChange, PoolRef},
    proto::zerotrust::v1::{
        self as proto, ChangeGatewayPoolRequest, ChangeGatewayPoolResponse, GatewayPoolAnswer, GatewayPoolDrain,
        ListGatewayPoolsRequest, ListGatewayPoolsResponse,
    },
};

pub struct GatewayPools {
    pub(super) deps: Deps,
}

impl GatewayPoolService for GatewayPools {
    async fn list_gateway_pools(&self, cx: &Cx, message: ListGatewayPoolsRequest) -> Result<ListGatewayPoolsResponse> {
        let page = pools::page(cx, &self.deps.store, cx.tenant()?, paging::request(cx, &message)?).await?;
        Ok(paging::response(page, |pool| to_proto(cx, pool)))
    }

    async fn change_gateway_pool(
        &self,
        cx: &Cx,
        action: ChangeGatewayPoolAction,
        message: ChangeGatewayPoolRequest,
    ) -> Result<ChangeGatewayPoolResponse> {
        use ChangeGatewayPoolAction::{Create, Delete, Drain, Undrain, Update};
        let (store, seconds) = (&self.deps.store, message.drain_seconds);
        let pool = match action {
            Create => pools::create(cx, store, cx.tenant()?, change(message, false)).await,
            Update => pools::update(cx, store, &pool_ref(cx, &message)?, change(message, true)).await,
            Delete => pools::delete(cx, store, &pool_ref(cx, &message)?, self.deps.settings.heartbeat).await,
            Drain => pools::drain(cx, store, &pool_ref(cx, &message)?, seconds).await,
            Undrain => pools::undrain(cx, store, &pool_ref(cx, &message)?).await,
        };
        let answer = Some(GatewayPoolAnswer { pool: Some(to_proto(cx, pool?)) });
        Ok(ChangeGatewayPoolResponse { answer, created: action == Create })
    }
}

/// The pool that a request names.
fn pool_ref(cx: &Cx, message: &ChangeGatewayPoolRequest) -> Result<PoolRef> {
    let (tenant, id) = (cx.tenant()?.clone(), message.pool_id().to_owned());
    Ok(PoolRef { tenant, id, version: message.if_version })
}

/// The members that a request sets. A mask, which only an update has, also names members to reset.
fn change(message: ChangeGatewayPoolRequest, masked: bool) -> PoolChange {
    let mask = message.update_mask.filter(|_| masked);
    let unset = PoolChange::defaults();
    PoolChange {
        name: message.name,
        region: set(mask.as_ref(), "region", message.region, unset.region),
        selection: set(mask.as_ref(), "selection", message.selection, unset.selection),
        weight: set(mask.as_ref(), "weight", message.weight.map(i64::from), unset.weight),
        priority: set(mask.as_ref(), "priority", message.priority.map(i64::from), unset.priority),
        max_sessions: set(mask.as_ref(), "max_sessions", message.max_sessions.map(Some), unset.max_sessions),
        allowed_group_ids: set(
            mask.as_ref(),
            "allowed_group_ids",
            not_empty(message.allowed_group_ids),
            unset.allowed_group_ids,
        ),
        virtual_cidr: set(mask.as_ref(), "virtual_cidr", message.virtual_cidr.map(Some), unset.virtual_cidr),
        dns_servers: set(mask.as_ref(), "dns_servers", not_empty(message.dns_servers), unset.dns_servers),
        offline_grace_seconds: set(
            mask.as_ref(),
            "offline_grace_seconds",
            message.offline_grace_seconds.map(i64::from),
            unset.offline_grace_seconds,
        ),
    }
}

fn not_empty(list: Vec<String>) -> Option<Vec<String>> {
    Some(list).filter(|list| !list.is_empty())
}

/// The value of a member: that of the request, or the default if a mask names the member.
fn set<T>(mask: Option<&FieldMask>, member: &str, value: Option<T>, default: Option<T>) -> Option<T> {
    match mask {
        None => value,
        Some(mask) if mask.paths.iter().any(|path| path == member) => value.or(default),
        Some(_) => None,
    }
}

fn to_proto(cx: &Cx, pool: GatewayPool) -> proto::GatewayPool {
    let (id, tenant_id, drain) = (pool.shown_id(), pool.tenant.zero_trust(), pool.drain(cx.clock.now()));
    let gateway_ids = pool.gateways.iter().map(|id| IdKind::Gateway.show(*id)).collect();
    let row = pool.row;
    proto::GatewayPool {
        id,
        tenant_id,
        name: row.name,
        region: row.region,
        selection: row.selection.as_str().to_owned(),
        weight: small(row.weight),
        priority: small(row.priority),
        max_sessions: row.max_sessions,
        allowed_group_ids: row.allowed_group_ids.iter().map(|id| IdKind::Group.show(*id)).collect(),
        virtual_cidr: row.virtual_cidr,
        dns_servers: row.dns_servers.0,
        drain: Some(drain_to_proto(drain)),
        version: row.version,
        created_at: Some(timestamp(row.created_at.time())),
        updated_at: Some(timestamp(row.updated_at.time())),
        gateway_ids,
        offline_grace_seconds: small(row.offline_grace_seconds),
    }
}

/// Stored weights, priorities and times are at most 1000.
fn small(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn drain_to_proto(drain: Drain) -> GatewayPoolDrain {
    let (state, deadline) = match drain {
        Drain::None => ("none", None),
        Drain::Draining(deadline) => ("draining", Some(deadline)),
        Drain::Drained(deadline) => ("drained", Some(deadline)),
    };
    GatewayPoolDrain { state: state.to_owned(), deadline: deadline.map(timestamp) }
}
