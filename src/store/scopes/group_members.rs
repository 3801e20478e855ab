//! Members of the groups of tenants.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    Select, sea_query::SelectStatement,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::TenantRows;
use crate::{
    base::Result,
    store::{
        Stamp,
        entities::group_members::{Column, Entity, Model},
    },
};

impl<C: ConnectionTrait> TenantRows<'_, C> {
    /// Adds accounts of the tenant to a group. Returns those that were not members.
    pub async fn add_members(&self, group: Uuid, accounts: &[Uuid], now: OffsetDateTime) -> Result<Vec<Uuid>> {
        let there = self.members_among(group, accounts).await?;
        let new: Vec<_> = accounts.iter().copied().filter(|account| !there.contains(account)).collect();
        if new.is_empty() {
            return Ok(new);
        }
        let rows = new.iter().map(|account| {
            let created_at = Stamp::from(now);
            Model { tenant_id: self.uuid(), group_id: group, account_id: *account, created_at }.into_active_model()
        });
        Entity::insert_many(rows).exec_without_returning(self.conn).await?;
        Ok(new)
    }

    /// Removes accounts from a group. Returns those that were members.
    pub async fn remove_members(&self, group: Uuid, accounts: &[Uuid]) -> Result<Vec<Uuid>> {
        let there = self.members_among(group, accounts).await?;
        let gone: Vec<_> = accounts.iter().copied().filter(|account| there.contains(account)).collect();
        if !gone.is_empty() {
            let rows = Entity::delete_many().filter(Column::TenantId.eq(self.uuid())).filter(Column::GroupId.eq(group));
            rows.filter(Column::AccountId.is_in(gone.iter().copied())).exec(self.conn).await?;
        }
        Ok(gone)
    }

    /// The number of members by group. Groups without members are missing.
    pub async fn member_counts(&self, groups: &[Uuid]) -> Result<HashMap<Uuid, u64>> {
        let counts: Vec<(Uuid, i64)> = self
            .members_of(groups)
            .select_only()
            .column(Column::GroupId)
            .column_as(Column::AccountId.count(), "members")
            .group_by(Column::GroupId)
            .into_tuple()
            .all(self.conn)
            .await?;
        // A count is not negative.
        Ok(counts.into_iter().map(|(group, count)| (group, count.unsigned_abs())).collect())
    }

    /// The groups of accounts, in the order of joining.
    pub async fn groups_of(&self, accounts: &[Uuid]) -> Result<HashMap<Uuid, Vec<Uuid>>> {
        let rows = Entity::find()
            .filter(Column::TenantId.eq(self.uuid()))
            .filter(Column::AccountId.is_in(accounts.iter().copied()))
            .order_by_asc(Column::CreatedAt)
            .order_by_asc(Column::GroupId);
        let mut groups: HashMap<Uuid, Vec<Uuid>> = HashMap::new();
        for row in rows.all(self.conn).await? {
            groups.entry(row.account_id).or_default().push(row.group_id);
        }
        Ok(groups)
    }

    /// Removes an account from all groups.
    pub async fn leave_groups(&self, account: Uuid) -> Result<()> {
        let rows = Entity::delete_many().filter(Column::TenantId.eq(self.uuid()));
        rows.filter(Column::AccountId.eq(account)).exec(self.conn).await?;
        Ok(())
    }

    /// A query for the accounts in a group.
    pub fn members(&self, group: Uuid) -> SelectStatement {
        self.members_of(&[group]).select_only().column(Column::AccountId).into_query()
    }

    async fn members_among(&self, group: Uuid, accounts: &[Uuid]) -> Result<BTreeSet<Uuid>> {
        let query = self.members_of(&[group]).filter(Column::AccountId.is_in(accounts.iter().copied()));
        let found: Vec<Uuid> = query.select_only().column(Column::AccountId).into_tuple().all(self.conn).await?;
        Ok(found.into_iter().collect())
    }

    fn members_of(&self, groups: &[Uuid]) -> Select<Entity> {
        Entity::find().filter(Column::TenantId.eq(self.uuid())).filter(Column::GroupId.is_in(groups.iter().copied()))
    }
}
