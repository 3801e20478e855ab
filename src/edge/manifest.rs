//! The manifest of a gateway: an index of what it needs, and the sessions that it has to end (zero-trust contract, section 5.5).
//!
//! It is short-lived, so a gateway that gets no new one knows that it is cut off, and it binds all parts together.

use serde_json::{Map, Value, json};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{
    access::kill_list,
    base::{IdKind, Kind, Result, TenantScope, rfc3339::whole_seconds},
    fleet::{Heartbeat, gateways::DeploymentConfig},
    policy::{canary, gateway_view::GatewayView},
    spc,
    store::{Db, Stamp, Store, columns::ArtifactKind, tables::TenantRows},
    trust::{Artifact, ArtifactSource, Content, Trust},
};

/// How long a manifest is valid.
const LIFE: Duration = Duration::minutes(10);

/// The index of a gateway. What it lists is what is stored, so a later manifest never lists something earlier.
struct Manifest {
    gateway: Uuid,
}

impl ArtifactSource for Manifest {
    const KIND: ArtifactKind = ArtifactKind::Manifest;

    async fn content<D: Db>(
        &self,
        rows: &TenantRows<'_, D>,
        scope: TenantScope,
        now: OffsetDateTime,
    ) -> Result<Content> {
        let gateway = IdKind::Gateway.show(self.gateway);
        let kills = kill_list(rows, self.gateway, now.into()).await?;
        let kills: Vec<_> = kills.sessions.into_iter().map(|id| IdKind::Session.show(id)).collect();
        let mut members = Map::new();
        members.insert("gateway_id".to_owned(), gateway.clone().into());
        members.insert("revocation_epoch".to_owned(), rows.spc_states().epoch().await?.into());
        members.insert("kill_sessions".to_owned(), kills.into());
        members.insert("materials".to_owned(), materials(rows, scope, now, &gateway).await?.into());
        Ok(Content { place: gateway, number: None, members, life: LIFE, until: None })
    }
}

/// The stored parts of a gateway's material.
async fn materials(
    rows: &TenantRows<'_, impl Db>,
    scope: TenantScope,
    now: OffsetDateTime,
    gateway: &str,
) -> Result<Vec<Value>> {
    let mut materials = Vec::new();
    if let Some(set) = rows.anchor_sets().latest().await? {
        materials.push(entry("trust-anchors", set.sequence, &set.digest, &set.envelope, set.expires_at)?);
    }
    let view = GatewayView { bucket: canary::bucket(gateway) };
    let view = match view.content(rows, scope, now).await {
        Ok(content) => rows.artifacts().of(ArtifactKind::GatewayPolicy, &content.place).await?,
        // Nothing is published.
        Err(error) if error.kind == Kind::NotFound => None,
        Err(error) => return Err(error),
    };
    let config = rows.artifacts().of(ArtifactKind::DeploymentConfig, gateway).await?;
    for (name, artifact) in [("policy-bundle", view), ("deployment-config", config)] {
        if let Some(row) = artifact {
            materials.push(entry(name, row.number, &row.digest, &row.envelope, row.expires_at)?);
        }
    }
    if let Some(bundle) = rows.spc_bundles().get().await? {
        materials.push(entry("spc-bundle", bundle.sequence, &bundle.digest, &bundle.envelope, bundle.expires_at)?);
    }
    Ok(materials)
}

/// The manifest of a gateway. What it lists is signed first, where that is due.
pub async fn manifest(
    store: &Store,
    trust: &Trust,
    scope: TenantScope,
    gateway: Uuid,
    heartbeat: Heartbeat,
) -> Result<Artifact> {
    trust.latest_anchors(scope).await?;
    let bucket = canary::bucket(&IdKind::Gateway.show(gateway));
    let view = GatewayView { bucket };
    match view.signed(store, trust, scope).await {
        Ok(_) => {}
        Err(error) if error.kind == Kind::NotFound => {}
        Err(error) => return Err(error),
    }
    trust.artifact(scope, DeploymentConfig { gateway, heartbeat }).await?;
    spc::bundles::full(store, trust, scope).await?;
    trust.artifact(scope, Manifest { gateway }).await
}

fn entry(name: &str, version: i64, digest: &str, envelope: &str, expires_at: Stamp) -> Result<Value> {
    Ok(json!({
        "name": name,
        "url": format!("/v1/gateway/runtime/{name}"),
        "version": version,
        "digest": digest,
        "size": envelope.len(),
        "expires_at": whole_seconds(expires_at.time())?,
    }))
}
