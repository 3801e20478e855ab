//! The policies that the gateways of a tenant enforce, as one signed artifact (zero-trust contract, section 5.5).
//!
//! All gateways get the stable versions. A canary is only for gateways of its percentage, as for devices; gateways with the same canaries get
//! the same bytes.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value, json};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{canary, ending, scope::Scope, standing, versions};
use crate::{
    base::{
        Error, IdKind, Kind, Result, TenantId, TenantScope, digest::sha256_hex, error::Reason, rfc3339::whole_seconds,
    },
    store::{
        Db, Stamp, Store,
        columns::{ArtifactKind, PolicyChannel},
        tables::{PolicyRow, TenantRows},
    },
    trust::{Artifact, ArtifactSource, Content, Trust},
};

/// How long a view is valid without a new one.
const LIFE: Duration = Duration::days(7);
/// The place of the view without canaries.
const STABLE: &str = "stable";

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
        let (mut active, now) = (rows.policies().all_active().await?, Stamp::from(now));
        active.retain(|row| self.has(row) && standing::counts(row, now));
        let canaries: Vec<_> = active.iter().filter(|row| row.channel == PolicyChannel::Canary).collect();
        let (place, channel) = match canaries.is_empty() {
            true => (STABLE.to_owned(), PolicyChannel::Stable),
            false => (place(canaries.iter().map(|row| row.id)), PolicyChannel::Canary),
        };
        // What has expired stays in the view, so that gateways deny what it is for.
        let until = active.iter().map(|row| row.expires_at).filter(|end| now < *end).max().map(Stamp::time);
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

/// Where and when the policies of gateways change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Lowest first: gateways between two of them get the same.
    pub bounds: Vec<Bound>,
    /// When the first canary ends.
    pub until: Option<Stamp>,
}

/// Where and when the policies of gateways change.
pub async fn bounds(rows: &TenantRows<'_, impl Db>, now: Stamp) -> Result<Bounds> {
    let stable = rows.policies().newest_stable().await?;
    // Also those that were replaced, whose numbers gateways may have seen.
    let canaries = rows.policies().canaries_active_or_after(stable).await?;
    let version = |percent: u32| {
        let of_percent =
            canaries.iter().filter(|row| row.canary.as_ref().is_some_and(|it| it.percent == Some(percent)));
        of_percent.map(PolicyRow::least_after).max().unwrap_or_default()
    };
    let bounds = bounds_of(&canaries).into_iter().map(|percent| Bound { percent, version: version(percent) });
    let ends = canaries.iter().filter(|row| standing::counts(row, now)).map(|row| row.expires_at);
    Ok(Bounds { bounds: bounds.collect(), until: ends.min() })
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

/// The versions that gateways should have at a time, by their first buckets, lowest first.
pub async fn wanted(rows: &TenantRows<'_, impl Db>, now: Stamp) -> Result<Vec<Wanted>> {
    let stable = rows.policies().newest_stable().await?;
    let canaries = rows.policies().canaries_active_or_after(stable).await?;
    let published_at = rows.policies().version(stable).await?.map_or(Stamp::from_micros(0), |row| row.published_at);
    let wanted = |from: u32| {
        let view = GatewayView { bucket: from };
        let of_view = || canaries.iter().filter(|row| view.has(row));
        let newest = of_view().filter(|row| row.least_after() > stable).max_by_key(|row| row.least_after());
        let is_canary = of_view().any(|row| standing::counts(row, now));
        Wanted {
            from,
            version: newest.map_or(stable, PolicyRow::least_after),
            channel: if is_canary { PolicyChannel::Canary } else { PolicyChannel::Stable },
            since: newest.map_or(published_at, |row| row.published_at),
        }
    };
    Ok([0].into_iter().chain(bounds_of(&canaries)).map(wanted).collect())
}

/// The canaries in the policies of gateways, and the numbers under which gateways have them.
#[derive(Debug)]
pub struct Judged {
    stable: i64,
    /// Those that are active, or began or ended after the newest stable version.
    canaries: Vec<PolicyRow>,
    /// The numbers of the signed views, by their places.
    numbers: HashMap<String, i64>,
    now: Stamp,
}

impl Judged {
    pub async fn read(rows: &TenantRows<'_, impl Db>, now: Stamp) -> Result<Self> {
        let stable = rows.policies().newest_stable().await?;
        let mut canaries = rows.policies().canaries_active_or_after(stable).await?;
        // As in a view.
        canaries.sort_unstable_by_key(|row| row.version);
        let numbers = match canaries.iter().any(|row| standing::counts(row, now)) {
            true => rows.artifacts().numbers(ArtifactKind::GatewayPolicy).await?,
            false => HashMap::new(),
        };
        Ok(Self { stable, canaries, numbers, now })
    }

    /// The canaries that a gateway of a bucket has if it has the view with this number; none if it is not the current one.
    pub fn canaries(&self, bucket: u32, number: i64) -> Vec<Uuid> {
        let view = GatewayView { bucket };
        let of_view = || self.canaries.iter().filter(|row| view.has(row));
        let canaries: Vec<_> = of_view().filter(|row| standing::counts(row, self.now)).map(|row| row.id).collect();
        let least = of_view().map(PolicyRow::least_after).max().unwrap_or_default().max(self.stable);
        let signed = self.numbers.get(&place(canaries.iter().copied())).copied().unwrap_or_default();
        if !canaries.is_empty() && (least..=signed).contains(&number) { canaries } else { Vec::new() }
    }

    /// Whether a canary is active.
    pub fn is_active(&self, id: Uuid) -> bool {
        self.canaries.iter().any(|row| row.id == id && standing::counts(row, self.now))
    }
}

/// The place of the view with these canaries, oldest first.
fn place(canaries: impl IntoIterator<Item = Uuid>) -> String {
    let canaries: Vec<_> = canaries.into_iter().collect();
    sha256_hex(canaries.iter().map(|id| id.as_bytes().as_slice()))
}

impl GatewayView {
    /// The signed view. The ends of canaries are recorded first, so that their gateways get other policies under a higher number.
    pub async fn signed(self, store: &Store, trust: &Trust, scope: TenantScope) -> Result<Artifact> {
        ending::settle(store, scope).await?;
        trust.artifact(scope, self).await
    }

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
        "scope": scope.to_json(tenant),
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
