//! The pools of a tenant with the gateways that devices may choose.

use std::collections::HashMap;

use serde::Serialize;
use time::OffsetDateTime;

use crate::{
    base::{Error, IdKind, Result, digest::sha256_hex},
    fleet::state::{self, Heartbeat, State},
    policy::batch::NamedPools,
    store::{
        Db,
        tables::{GatewayPoolRow, GatewayRow, TenantRows},
    },
};

/// Pools, oldest first.
#[derive(Clone, Debug)]
pub(super) struct Listing {
    pub pools: Vec<Pool>,
}

#[derive(Clone, Debug)]
pub(super) struct Pool {
    pub row: GatewayPoolRow,
    pub shown: Shown,
}

/// A pool as it is listed, in the documented order.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Shown {
    id: String,
    name: String,
    region: String,
    priority: i64,
    weight: i64,
    selection: &'static str,
    gateways: Vec<Gateway>,
}

#[derive(Clone, Debug, Serialize)]
struct Gateway {
    id: String,
    endpoints: Vec<String>,
    public_key: String,
    state: &'static str,
}

impl Listing {
    /// All pools at a time.
    pub async fn read(rows: &TenantRows<'_, impl Db>, now: OffsetDateTime, heartbeat: Heartbeat) -> Result<Self> {
        let mut gateways = gateways(rows, now, heartbeat).await?;
        let pool = |row: GatewayPoolRow| {
            let gateways = gateways.remove(&row.id).unwrap_or_default();
            Pool { shown: shown(&row, gateways), row }
        };
        Ok(Self { pools: rows.gateway_pools().all().await?.into_iter().map(pool).collect() })
    }

    /// The pools that a device may use: those that its policy names, or all if it names none, if they are open to its groups. Without a policy
    /// it may use none.
    pub fn allowed(&self, device: &NamedPools) -> Self {
        let Some(named) = &device.pools else { return Self { pools: Vec::new() } };
        let may_use = |pool: &&Pool| {
            let groups = &pool.row.allowed_group_ids;
            let is_open = groups.is_empty() || groups.iter().any(|group| device.subject.groups.contains(group));
            is_open && named.as_ref().is_none_or(|named| named.contains(&pool.shown.id))
        };
        Self { pools: self.pools.iter().filter(may_use).cloned().collect() }
    }

    /// A digest of what it says.
    pub fn digest(&self) -> String {
        // A struct of texts and numbers always serializes.
        let says = |pool: &Pool| serde_json::to_vec(&pool.shown).unwrap_or_default();
        let says: Vec<_> = self.pools.iter().map(says).collect();
        sha256_hex(says.iter().map(Vec::as_slice))
    }
}

/// The gateways that are live, by pool: online ones, and those that drain, so that clients leave them.
async fn gateways(
    rows: &TenantRows<'_, impl Db>,
    now: OffsetDateTime,
    heartbeat: Heartbeat,
) -> Result<HashMap<uuid::Uuid, Vec<(GatewayRow, String)>>> {
    let mut live = rows.gateways().active().await?;
    live.retain(|row| state::is_live(row, now, heartbeat));
    let ids: Vec<_> = live.iter().map(|row| row.id).collect();
    let mut credentials = rows.gateways().credentials(&ids).await?;
    let mut pools: HashMap<_, Vec<_>> = HashMap::new();
    for row in live {
        let credential = credentials.remove(&row.id).ok_or_else(|| Error::internal("a gateway has no credential"))?;
        pools.entry(row.pool_id).or_default().push((row, credential.public_key));
    }
    Ok(pools)
}

fn shown(row: &GatewayPoolRow, gateways: Vec<(GatewayRow, String)>) -> Shown {
    let drains = row.drain_deadline.is_some();
    let gateway = |(gateway, public_key): (GatewayRow, String)| Gateway {
        id: IdKind::Gateway.show(gateway.id),
        endpoints: gateway.endpoints.0,
        public_key,
        state: match drains || gateway.drain_deadline.is_some() {
            true => State::Draining.as_str(),
            false => State::Online.as_str(),
        },
    };
    Shown {
        id: IdKind::GatewayPool.show(row.id),
        name: row.name.clone(),
        region: row.region.clone(),
        priority: row.priority,
        weight: row.weight,
        selection: row.selection.as_str(),
        gateways: gateways.into_iter().map(gateway).collect(),
    }
}
