//! Published versions of the policies of a tenant, without their contents.

use sea_orm::{Condition, QueryOrder, QuerySelect, entity::prelude::*, sea_query::ExprTrait};

use super::{
    rows::{Rows, TenantRows, TenantTable, WithId},
    tenants,
};
use crate::{
    base::{PageRequest, Result},
    store::{
        Count, Db, Exec, Fetch, FetchUpdated,
        columns::{Json, Owner, PolicyCanary, PolicyChannel, PolicyScopeKind, PolicyState, Stamp},
    },
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "policies")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Counts per tenant, over all scopes and channels.
    pub version: i64,
    pub channel: PolicyChannel,
    pub scope_type: PolicyScopeKind,
    /// The id of the tenant, the group or the device; nil for the copy of a global one (`global_policies`).
    pub scope_id: Uuid,
    /// The rank among the groups of a device; 0 in other scopes.
    pub priority: i64,
    /// A scope has at most one active version in a channel.
    pub state: PolicyState,
    /// SHA-256 of the content, in hex.
    pub digest: String,
    /// The devices that get a canary.
    pub canary: Option<Json<PolicyCanary>>,
    pub notes: String,
    /// Subject of the publisher.
    pub published_by: String,
    /// The version whose content it has, if it was not sent.
    pub from_version: Option<i64>,
    pub published_at: Stamp,
    pub expires_at: Stamp,
    /// How many devices reported that they applied or refused it, for a canary.
    pub reported: i64,
    /// How many of them refused it.
    pub refused: i64,
    /// How many gateways reported that they applied or refused it, for a canary.
    pub gateways_reported: i64,
    /// How many of them refused it.
    pub gateways_refused: i64,
    /// The least version under which its devices got other content, if it has ended.
    pub ended_version: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TenantTable for Entity {
    const TENANT: Column = Column::TenantId;
}

impl WithId for Entity {
    const ID: Column = Column::Id;
}

impl Model {
    /// A device that had it gets other content under this version at least.
    pub fn least_after(&self) -> i64 {
        self.ended_version.unwrap_or(self.version)
    }

    /// Whether devices of a group get it because they are in the group.
    fn concerns_group(&self, group: Uuid) -> bool {
        let canary = || self.canary.as_ref().is_some_and(|canary| canary.group_ids.contains(&group));
        self.scope_type == PolicyScopeKind::Group && self.scope_id == group || canary()
    }
}

impl<'a, C> TenantRows<'a, C> {
    pub fn policies(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// The number of the latest version, 0 if there is none.
    pub async fn latest(&self) -> Result<i64> {
        let last = self.select().select_only().column(Column::Version).order_by_desc(Column::Version).limit(1);
        Ok(last.into_tuple::<i64>().fetch_one(self.conn).await?.unwrap_or_default())
    }

    /// The highest version under which devices got other content than that of a version that ended, 0 if there is none.
    pub(super) async fn latest_end(&self) -> Result<i64> {
        let ended = self.select().select_only().column(Column::EndedVersion).filter(Column::EndedVersion.is_not_null());
        let last = ended.order_by_desc(Column::EndedVersion).limit(1);
        Ok(last.into_tuple::<i64>().fetch_one(self.conn).await?.unwrap_or_default())
    }

    /// A version by its number.
    pub async fn version(&self, version: i64) -> Result<Option<Model>> {
        Ok(self.select().filter(Column::Version.eq(version)).fetch_one(self.conn).await?)
    }

    /// A page of the versions, oldest first, and the total number. Its cursor contains the number of a version.
    pub async fn page(&self, request: PageRequest) -> Result<(Vec<Model>, u64)> {
        let total = match request.total {
            Some(counted) => counted,
            None => self.select().fetch_count(self.conn).await?,
        };
        let after = request.after.map(|last| Column::Version.gt(number(last)));
        let rows = self.select().filter(Condition::all().add_option(after)).order_by_asc(Column::Version);
        Ok((rows.limit(request.rows()).fetch_all(self.conn).await?, total))
    }

    /// The active versions that a device in these groups may get: those for all tenants, the tenant, the groups and the device.
    pub async fn active_for(&self, device: Uuid, groups: &[Uuid]) -> Result<Vec<Model>> {
        let active = self.select().filter(scopes_of(device, groups)).filter(Column::State.eq(PolicyState::Active));
        Ok(active.fetch_all(self.conn).await?)
    }

    /// The number of the newest stable version, in any state, for a scope of the device in these groups; 0 if there is none.
    pub async fn newest_stable_for(&self, device: Uuid, groups: &[Uuid]) -> Result<i64> {
        let stable = self.select().filter(scopes_of(device, groups)).filter(Column::Channel.eq(PolicyChannel::Stable));
        let newest = stable.select_only().column(Column::Version).order_by_desc(Column::Version).limit(1);
        Ok(newest.into_tuple::<i64>().fetch_one(self.conn).await?.unwrap_or_default())
    }

    /// The canaries of the same scopes that began or ended after a version.
    pub async fn canaries_after(&self, version: i64, device: Uuid, groups: &[Uuid]) -> Result<Vec<Model>> {
        let canaries = self.select().filter(scopes_of(device, groups)).filter(after(version));
        Ok(canaries.filter(Column::Channel.eq(PolicyChannel::Canary)).fetch_all(self.conn).await?)
    }

    /// All active versions, oldest first.
    pub async fn all_active(&self) -> Result<Vec<Model>> {
        let active = self.select().filter(Column::State.eq(PolicyState::Active));
        Ok(active.order_by_asc(Column::Version).fetch_all(self.conn).await?)
    }

    /// The newest stable version of each scope, in any state.
    pub async fn newest_stable_of_scopes(&self) -> Result<Vec<(PolicyScopeKind, Uuid, i64)>> {
        let stable = self.select().filter(Column::Channel.eq(PolicyChannel::Stable)).select_only();
        let newest = stable.columns([Column::ScopeType, Column::ScopeId]).column_as(Column::Version.max(), "version");
        let of_scopes = newest.group_by(Column::ScopeType).group_by(Column::ScopeId);
        Ok(of_scopes.into_tuple().fetch_all(self.conn).await?)
    }

    /// The active canaries whose time is over, oldest first.
    pub async fn expired_canaries(&self, now: Stamp) -> Result<Vec<Model>> {
        let expired = self.select().filter(Expr::cust(ACTIVE_CANARY)).filter(Column::ExpiresAt.lte(now));
        Ok(expired.order_by_asc(Column::Version).fetch_all(self.conn).await?)
    }

    /// The number of the newest stable version, in any state and scope; 0 if there is none.
    pub async fn newest_stable(&self) -> Result<i64> {
        let stable = self.select().filter(Column::Channel.eq(PolicyChannel::Stable));
        let newest = stable.select_only().column(Column::Version).order_by_desc(Column::Version).limit(1);
        Ok(newest.into_tuple::<i64>().fetch_one(self.conn).await?.unwrap_or_default())
    }

    /// The canaries of all scopes that are active, or that began or ended after a version.
    pub async fn canaries_active_or_after(&self, version: i64) -> Result<Vec<Model>> {
        let known = after(version).add(Column::State.eq(PolicyState::Active));
        let canaries = self.select().filter(Column::Channel.eq(PolicyChannel::Canary)).filter(known);
        Ok(canaries.fetch_all(self.conn).await?)
    }

    /// The active versions of a scope: at most one per channel.
    pub async fn active_in(&self, kind: PolicyScopeKind, id: Uuid) -> Result<Vec<Model>> {
        let of_scope = Column::ScopeType.eq(kind).and(Column::ScopeId.eq(id));
        let active = self.select().filter(of_scope).filter(Column::State.eq(PolicyState::Active));
        Ok(active.fetch_all(self.conn).await?)
    }

    /// Whether an active version is for the devices of a group.
    pub async fn concern_group(&self, group: Uuid) -> Result<bool> {
        let of_group = Column::ScopeType.eq(PolicyScopeKind::Group).and(Column::ScopeId.eq(group));
        let candidates = Condition::any().add(of_group).add(Column::Channel.eq(PolicyChannel::Canary));
        let active = self.select().filter(Column::State.eq(PolicyState::Active)).filter(candidates);
        Ok(active.fetch_all(self.conn).await?.iter().any(|row| row.concerns_group(group)))
    }

    /// Inserts a version.
    pub async fn insert(&self, policy: Model) -> Result<()> {
        self.add(policy).await
    }

    /// Ends a version. A device that had it gets other content under this version at least.
    pub async fn end(&self, id: Uuid, state: PolicyState, version: i64) -> Result<()> {
        let update = self
            .update_many()
            .col_expr(Column::State, Expr::value(state))
            .col_expr(Column::EndedVersion, Expr::value(version))
            .filter(Column::Id.eq(id));
        update.run(self.conn).await?;
        Ok(())
    }

    /// Adds to the numbers of reports and of refusals of devices or gateways, and returns the version.
    pub async fn count_reports(&self, id: Uuid, by: Reporter, reported: i64, refused: i64) -> Result<Option<Model>> {
        let (reports, refusals) = match by {
            Reporter::Devices => (Column::Reported, Column::Refused),
            Reporter::Gateways => (Column::GatewaysReported, Column::GatewaysRefused),
        };
        let update = self
            .update_many()
            .col_expr(reports, Expr::col(reports).add(reported))
            .col_expr(refusals, Expr::col(refusals).add(refused))
            .filter(Column::Id.eq(id));
        Ok(update.fetch_updated(self.conn).await?.pop())
    }
}

/// Who reports about a canary. Devices and gateways are counted apart: the many of one kind must not hide the few of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reporter {
    Devices,
    Gateways,
}

/// The condition of the partial index of canaries. Not parameters, so that SQLite uses it.
const ACTIVE_CANARY: &str = "state = 'active' AND channel = 'canary'";

/// The canaries of any tenant that have to be ended, at most `most`: their time is over, or of at least `least` reports more than one in
/// `one_in` of a kind is a refusal. For the job that ends them.
pub async fn due_canaries(conn: &impl Db, now: Stamp, least: i64, one_in: i64, most: u64) -> Result<Vec<Model>> {
    let more_than = |refused: Column, reported: Column| Expr::col(refused).mul(one_in).gt(Expr::col(reported));
    let is_refused = Condition::any()
        .add(more_than(Column::Refused, Column::Reported))
        .add(more_than(Column::GatewaysRefused, Column::GatewaysReported));
    let has_reports = Expr::col(Column::Reported).add(Expr::col(Column::GatewaysReported)).gte(least);
    let due = Condition::any().add(Column::ExpiresAt.lte(now)).add(Condition::all().add(is_refused).add(has_reports));
    let due = Entity::find()
        .filter(Expr::cust(ACTIVE_CANARY))
        .filter(due)
        .filter(tenants::is_deleted((Entity, Column::TenantId)).not())
        .order_by_asc(Column::ExpiresAt)
        .limit(most);
    Ok(due.fetch_all(conn).await?)
}

/// Versions that began or ended after this one.
fn after(version: i64) -> Condition {
    Condition::any().add(Column::Version.gt(version)).add(Column::EndedVersion.gt(version))
}

/// The scopes that a device in these groups is in.
fn scopes_of(device: Uuid, groups: &[Uuid]) -> Condition {
    let of_groups = Column::ScopeType.eq(PolicyScopeKind::Group).and(Column::ScopeId.is_in(groups.iter().copied()));
    let of_device = Column::ScopeType.eq(PolicyScopeKind::Device).and(Column::ScopeId.eq(device));
    let of_all = Column::ScopeType.is_in([PolicyScopeKind::Global, PolicyScopeKind::Tenant]);
    Condition::any().add(of_all).add(of_groups).add(of_device)
}

/// The position of a version in the list, for cursors.
pub fn place(version: i64) -> Uuid {
    Uuid::from_u128(u128::from(version.unsigned_abs()))
}

/// The version at a position. There is none after the largest number.
pub(super) fn number(place: Uuid) -> i64 {
    i64::try_from(place.as_u128()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_continues_after_a_version() {
        assert_eq!(number(place(7)), 7);
        assert_eq!(number(place(i64::MAX)), i64::MAX);
        assert_eq!(number(Uuid::max()), i64::MAX);
    }
}
