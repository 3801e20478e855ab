//! The policies that the gateways of a tenant enforce, as one signed artifact (zero-trust contract, section 5.5).
//!
//! All gateways get the stable versions. A canary is only for gateways of its percentage, as for devices; gateways with the same canaries get
//! the same bytes.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use time::{Duration, OffsetDateTime};

use super::{canary, scope::Scope, versions};
use crate::{
    base::{
        Error, IdKind, Kind, Result, TenantId, TenantScope, digest::sha256_hex, error::Reason, rfc3339::whole_seconds,
    },
    store::{
        Db, Stamp,
        columns::{ArtifactKind, PolicyChannel, PolicyState},
        tables::{PolicyRow, TenantRows},
    },
    trust::{ArtifactSource, Content},
};

/// How long a view is valid without a new one.
const LIFE: Duration = Duration::days(7);

/// The policies for the gateways of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayView {
    /// As that of [`canary::bucket`].
    pub bucket: u32,
}

impl ArtifactSource for GatewayView {
    const KIND: ArtifactKind = ArtifactKind::GatewayPolicy;

    /// Fails with NOT_FOUND if no policy was published.
    async fn content<D: Db>(
        &self,
        rows: &TenantRows<'_, D>,
        scope: TenantScope,
        now: OffsetDateTime,
    ) -> Result<Content> {
        let number = self.newest(rows).await?;
        if number == 0 {
            let text = "no policy is published for the tenant";
            return Err(Error::new(Kind::NotFound, Reason::PolicyVersionNotFound, text));
        }
        let mut active = rows.policies().active(now.into()).await?;
        active.retain(|row| self.has(row));
        let canaries: Vec<_> = active.iter().filter(|row| row.channel == PolicyChannel::Canary).collect();
        let place = match canaries.is_empty() {
            true => PolicyChannel::Stable.as_str().to_owned(),
            false => sha256_hex(canaries.iter().map(|row| row.id.as_bytes().as_slice())),
        };
        let channel = if canaries.is_empty() { PolicyChannel::Stable } else { PolicyChannel::Canary };
        let until = active.iter().map(|row| row.expires_at.time()).max();
        let tenant = scope.tenant();
        let policies = policies(rows, tenant, &active).await?;
        let mut members = Map::new();
        members.insert("channel".to_owned(), channel.as_str().into());
        members.insert("tenants".to_owned(), json!([{"tenant_id": tenant.zero_trust(), "policies": policies}]));
        Ok(Content { place, number: Some(number), members, life: LIFE, until })
    }
}

/// A bucket at which the policies of gateways change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    pub percent: u32,
    /// The newest canary that ends there.
    pub version: i64,
}

/// The buckets at which the policies of gateways change, lowest first: gateways between two of them get the same.
pub async fn bounds(rows: &TenantRows<'_, impl Db>) -> Result<Vec<Bound>> {
    let stable = rows.policies().newest_stable().await?;
    // Also those that were replaced, whose numbers gateways may have seen.
    let canaries = rows.policies().canaries_active_or_after(stable).await?;
    let version = |percent: u32| {
        let of_percent =
            canaries.iter().filter(|row| row.canary.as_ref().is_some_and(|it| it.percent == Some(percent)));
        of_percent.map(PolicyRow::least_after).max().unwrap_or_default()
    };
    let bounds = bounds_of(&canaries).into_iter();
    Ok(bounds.map(|percent| Bound { percent, version: version(percent) }).collect())
}

fn bounds_of(canaries: &[PolicyRow]) -> BTreeSet<u32> {
    let percents = canaries.iter().filter_map(|row| row.canary.as_ref()?.percent);
    percents.filter(|percent| (1..100).contains(percent)).collect()
}

/// The version that gateways should have, from a bucket on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The first bucket.
    pub from: u32,
    /// 0 if nothing is published.
    pub version: i64,
    pub channel: PolicyChannel,
    /// When it was published.
    pub since: Stamp,
}

/// The versions that gateways should have, by their first buckets, lowest first.
pub async fn wanted(rows: &TenantRows<'_, impl Db>) -> Result<Vec<Wanted>> {
    let stable = rows.policies().newest_stable().await?;
    let canaries = rows.policies().canaries_active_or_after(stable).await?;
    let published_at = rows.policies().version(stable).await?.map_or(Stamp::from_micros(0), |row| row.published_at);
    let wanted = |from: u32| {
        let view = GatewayView { bucket: from };
        let of_view = || canaries.iter().filter(|row| view.has(row));
        let newest = of_view().filter(|row| row.least_after() > stable).max_by_key(|row| row.least_after());
        let is_canary = of_view().any(|row| row.state == PolicyState::Active);
        Wanted {
            from,
            version: newest.map_or(stable, PolicyRow::least_after),
            channel: if is_canary { PolicyChannel::Canary } else { PolicyChannel::Stable },
            since: newest.map_or(published_at, |row| row.published_at),
        }
    };
    Ok([0].into_iter().chain(bounds_of(&canaries)).map(wanted).collect())
}

impl GatewayView {
    /// The number of the newest version, in any state, that the gateways of the bucket may have seen.
    async fn newest(self, rows: &TenantRows<'_, impl Db>) -> Result<i64> {
        let stable = rows.policies().newest_stable().await?;
        let canaries = rows.policies().canaries_active_or_after(stable).await?;
        let newest = canaries.iter().filter(|row| self.has(row)).map(PolicyRow::least_after).max();
        Ok(newest.unwrap_or_default().max(stable))
    }

    fn has(self, row: &PolicyRow) -> bool {
        let in_cohort = || row.canary.as_ref().is_some_and(|canary| canary::has_bucket(canary, self.bucket));
        row.channel == PolicyChannel::Stable || in_cohort()
    }
}

/// These versions with their contents.
async fn policies(rows: &TenantRows<'_, impl Db>, tenant: TenantId, active: &[PolicyRow]) -> Result<Vec<Value>> {
    let published = versions::published(rows, active).await?;
    let shown = |(row, policy): (&PolicyRow, _)| shown(tenant, row, policy);
    active.iter().zip(published.into_iter().map(|policy| policy.document)).map(shown).collect()
}

fn shown(tenant: TenantId, row: &PolicyRow, document: super::document::Document) -> Result<Value> {
    let scope = Scope::of(row);
    let mut policy = json!({
        "policy_id": IdKind::Policy.show(row.id),
        "version": row.version,
        "channel": row.channel.as_str(),
        "scope": {"type": scope.kind().as_str(), "id": scope.shown_id(tenant)},
        "priority": row.priority,
        "digest": format!("sha256:{}", row.digest),
        "expires_at": whole_seconds(row.expires_at.time())?,
        "policy": serde_json::to_value(document).map_err(Error::internal)?,
    });
    if let Some(canary) = &row.canary {
        policy["canary"] = json!({
            "percent": canary.percent,
            "group_ids": canary.group_ids.iter().map(|id| IdKind::Group.show(*id)).collect::<Vec<_>>(),
            "device_ids": canary.device_ids.iter().map(|id| IdKind::Device.show(*id)).collect::<Vec<_>>(),
        });
    }
    Ok(policy)
}
