//! The manifest of a gateway: an index of what it needs, and the sessions that it has to end (zero-trust contract, section 5.5).
//!
//! It is short-lived, so a gateway that gets no new one knows that it is cut off, and it binds all parts together.

use serde_json::{Map, Value, json};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

use crate::{
    access::{KillList, kill_list},
    base::{Error, IdKind, Kind, Result, TenantScope},
    fleet::{Heartbeat, gateways::DeploymentConfig},
    policy::{canary, gateway_view::GatewayView},
    spc,
    store::{Db, Store, columns::ArtifactKind, tables::TenantRows},
    trust::{Artifact, ArtifactSource, Content, Trust},
};

/// How long a manifest is valid.
const LIFE: Duration = Duration::minutes(10);

/// The current parts of a gateway's material.
struct Manifest {
    gateway: Uuid,
    revocation_epoch: i64,
    kills: KillList,
    materials: Vec<Value>,
}

impl ArtifactSource for Manifest {
    const KIND: ArtifactKind = ArtifactKind::Manifest;

    async fn content<D: Db>(&self, _: &TenantRows<'_, D>, _: TenantScope, _: OffsetDateTime) -> Result<Content> {
        let kills: Vec<_> = self.kills.sessions.iter().map(|id| IdKind::Session.show(*id)).collect();
        let mut members = Map::new();
        members.insert("gateway_id".to_owned(), IdKind::Gateway.show(self.gateway).into());
        members.insert("revocation_epoch".to_owned(), self.revocation_epoch.into());
        members.insert("kill_sessions".to_owned(), kills.into());
        members.insert("materials".to_owned(), self.materials.clone().into());
        Ok(Content { place: IdKind::Gateway.show(self.gateway), number: None, members, life: LIFE, until: None })
    }
}

/// The manifest of a gateway. What it lists is signed first, where that is due.
pub async fn manifest(
    store: &Store,
    trust: &Trust,
    scope: TenantScope,
    gateway: Uuid,
    heartbeat: Heartbeat,
) -> Result<Artifact> {
    let anchors = trust.latest_anchors(scope).await?;
    let mut materials =
        vec![entry("trust-anchors", anchors.sequence, &anchors.digest, &anchors.envelope, anchors.expires_at)?];
    let bucket = canary::bucket(&IdKind::Gateway.show(gateway));
    match trust.artifact(scope, GatewayView { bucket }).await {
        Ok(view) => materials.push(entry("policy-bundle", view.number, &view.digest, &view.envelope, view.expires_at)?),
        // Nothing is published.
        Err(error) if error.kind == Kind::NotFound => {}
        Err(error) => return Err(error),
    }
    let config = trust.artifact(scope, DeploymentConfig { gateway, heartbeat }).await?;
    materials.push(entry("deployment-config", config.number, &config.digest, &config.envelope, config.expires_at)?);
    let spcs = spc::bundles::full(store, trust, scope).await?;
    materials.push(entry("spc-bundle", spcs.sequence, &spcs.digest, &spcs.envelope, spcs.expires_at)?);
    let rows = store.tenant(scope);
    let kills = kill_list(&rows, gateway, store.clock().now().into()).await?;
    let revocation_epoch = rows.spc_states().epoch().await?;
    trust.artifact(scope, Manifest { gateway, revocation_epoch, kills, materials }).await
}

fn entry(name: &str, version: i64, digest: &str, envelope: &str, expires_at: OffsetDateTime) -> Result<Value> {
    let expires_at = expires_at.replace_nanosecond(0).map_err(Error::internal)?;
    Ok(json!({
        "name": name,
        "url": format!("/v1/gateway/runtime/{name}"),
        "version": version,
        "digest": digest,
        "size": envelope.len(),
        "expires_at": expires_at.format(&Rfc3339).map_err(Error::internal)?,
    }))
}
