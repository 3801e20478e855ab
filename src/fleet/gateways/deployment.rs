//! The configuration of a gateway (zero-trust contract, section 5.5): what its pool sets, and whether it must drain. Members for which
//! there are no settings are absent.

use serde_json::{Map, Value, json};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{
    base::{Error, IdKind, Result, TenantScope, rfc3339::whole_seconds},
    fleet::state::Heartbeat,
    store::{
        Db, Stamp,
        columns::ArtifactKind,
        tables::{GatewayPoolRow, GatewayRow, TenantRows},
    },
    trust::{ArtifactSource, Content},
};

/// How long a configuration is valid without a new one.
const LIFE: Duration = Duration::days(7);
/// How often a gateway asks for what changed.
const POLL: Duration = Duration::seconds(10);

/// The configuration of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeploymentConfig {
    pub gateway: Uuid,
    pub heartbeat: Heartbeat,
}

impl ArtifactSource for DeploymentConfig {
    const KIND: ArtifactKind = ArtifactKind::DeploymentConfig;

    /// Fails with NOT_FOUND if there is no such gateway.
    async fn content<D: Db>(&self, rows: &TenantRows<'_, D>, _: TenantScope, _: OffsetDateTime) -> Result<Content> {
        let gateway = rows.gateways().get(self.gateway).await?.ok_or_else(super::not_found)?;
        let pool = rows.gateway_pools().get(gateway.pool_id).await?;
        let pool = pool.ok_or_else(|| Error::internal("a gateway has no pool"))?;
        Ok(Content {
            place: IdKind::Gateway.show(gateway.id),
            number: None,
            members: members(&gateway, &pool, self.heartbeat)?,
            life: LIFE,
            until: None,
        })
    }
}

fn members(gateway: &GatewayRow, pool: &GatewayPoolRow, heartbeat: Heartbeat) -> Result<Map<String, Value>> {
    let drain_deadline = drain_deadline(gateway, pool).map(|at| whole_seconds(at.time())).transpose()?;
    let says = json!({
        "gateway_id": IdKind::Gateway.show(gateway.id),
        "pool": {"id": IdKind::GatewayPool.show(pool.id), "name": pool.name, "region": pool.region},
        "listen": *gateway.endpoints,
        "virtual_cidr": pool.virtual_cidr,
        "dns": {"servers": *pool.dns_servers},
        "limits": {"max_sessions": pool.max_sessions},
        "intervals": {"poll": POLL.whole_seconds(), "heartbeat": heartbeat.interval().whole_seconds()},
        "desired_state": if drain_deadline.is_some() { "drain" } else { "serve" },
        "drain_deadline": drain_deadline,
        "offline_grace_seconds": pool.offline_grace_seconds,
    });
    match says {
        Value::Object(members) => Ok(members),
        _ => Err(Error::internal("a configuration is not an object")),
    }
}

/// When the sessions of a gateway end, if it drains, or its pool does: at the earlier time.
fn drain_deadline(gateway: &GatewayRow, pool: &GatewayPoolRow) -> Option<Stamp> {
    gateway.drain_deadline.into_iter().chain(pool.drain_deadline).min()
}
