//! How far the policies are that gateways should have: what each wants, has applied and has refused.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    base::{Cx, IdKind, Page, PageRequest, Result, TenantRef, TenantScope},
    policy::{
        canary,
        gateway_view::{self, Wanted},
    },
    store::{
        Store,
        columns::{MaterialKind, PolicyChannel},
        tables::{GatewayMaterialRow, GatewayRow},
    },
    tenants,
};

/// The policies of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollout {
    pub gateway: GatewayRow,
    /// The version that it should have; `None` if nothing is published.
    pub wanted: Option<Wanted>,
    /// What it has reported.
    pub reported: Option<GatewayMaterialRow>,
    /// For how long it has lacked the wanted version; zero if it has it.
    pub lag_seconds: i64,
}

impl Rollout {
    pub fn shown_id(&self) -> String {
        IdKind::Gateway.show(self.gateway.id)
    }

    pub fn channel(&self) -> PolicyChannel {
        self.wanted.map_or(PolicyChannel::Stable, |wanted| wanted.channel)
    }
}

/// A page of the gateways of a tenant, oldest first.
pub async fn page(cx: &Cx, store: &Store, tenant: &TenantRef, request: PageRequest) -> Result<Page<Rollout>> {
    let scope = tenants::reach(cx, store, tenant).await?;
    read(store, scope, request).await
}

pub(super) async fn read(store: &Store, scope: TenantScope, request: PageRequest) -> Result<Page<Rollout>> {
    let rows = store.tenant(scope);
    let now = store.clock().now();
    let wanted = gateway_view::wanted(&rows, now.into()).await?;
    let (gateways, total) = rows.gateways().page(None, request).await?;
    let page = Page::cut(request, gateways, total, |row| row.id);
    let ids: Vec<Uuid> = page.items.iter().map(|row| row.id).collect();
    let mut reports = rows.gateway_materials().of(MaterialKind::GatewayPolicy, &ids).await?;
    Ok(page.map(|gateway| {
        let bucket = canary::bucket(&IdKind::Gateway.show(gateway.id));
        let of_bucket = wanted.iter().rev().find(|wanted| wanted.from <= bucket).copied();
        let wanted = of_bucket.filter(|wanted| wanted.version > 0);
        let reported = reports.remove(&gateway.id);
        let lag_seconds = wanted.map_or(0, |wanted| lag(&wanted, reported.as_ref(), now));
        Rollout { gateway, wanted, reported, lag_seconds }
    }))
}

fn lag(wanted: &Wanted, reported: Option<&GatewayMaterialRow>, now: OffsetDateTime) -> i64 {
    let applied = reported.map_or(0, |reported| reported.applied_number);
    if applied >= wanted.version { 0 } else { (now - wanted.since.time()).whole_seconds().max(0) }
}
