//! Members of groups.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{IntoActiveModel, QueryOrder, QuerySelect, QueryTrait, entity::prelude::*, sea_query::SelectStatement};

use super::rows::{Rows, TenantRows, TenantTable};
use crate::{
    base::Result,
    store::{
        Db, Exec, Fetch,
        columns::{Owner, Stamp},
    },
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "group_members")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    #[sea_orm(primary_key, auto_increment = false)]
    pub group_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub account_id: Uuid,
    pub created_at: Stamp,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TenantTable for Entity {
    const TENANT: Column = Column::TenantId;
}

impl<'a, C> TenantRows<'a, C> {
    pub fn group_members(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// Adds accounts of the tenant to a group. Returns those that were not members.
    pub async fn add_to(&self, group: Uuid, accounts: &[Uuid], now: Stamp) -> Result<Vec<Uuid>> {
        let there = self.among(group, accounts).await?;
        let new: Vec<_> = accounts.iter().copied().filter(|account| !there.contains(account)).collect();
        if new.is_empty() {
            return Ok(new);
        }
        let rows = new.iter().map(|account| {
            let row = Model { tenant_id: self.tenant, group_id: group, account_id: *account, created_at: now };
            row.into_active_model()
        });
        Entity::insert_many(rows).run(self.conn).await?;
        Ok(new)
    }

    /// Removes accounts from a group. Returns those that were members.
    pub async fn remove_from(&self, group: Uuid, accounts: &[Uuid]) -> Result<Vec<Uuid>> {
        let there = self.among(group, accounts).await?;
        let gone: Vec<_> = accounts.iter().copied().filter(|account| there.contains(account)).collect();
        if !gone.is_empty() {
            let rows = self.delete_many().filter(Column::GroupId.eq(group));
            rows.filter(Column::AccountId.is_in(gone.iter().copied())).run(self.conn).await?;
        }
        Ok(gone)
    }

    /// The number of members by group. Groups without members are missing.
    pub async fn counts(&self, groups: &[Uuid]) -> Result<HashMap<Uuid, u64>> {
        let counts: Vec<(Uuid, i64)> = self
            .of(groups)
            .select_only()
            .column(Column::GroupId)
            .column_as(Column::AccountId.count(), "members")
            .group_by(Column::GroupId)
            .into_tuple()
            .fetch_all(self.conn)
            .await?;
        // A count is not negative.
        Ok(counts.into_iter().map(|(group, count)| (group, count.unsigned_abs())).collect())
    }

    /// The groups of accounts, in the order of joining.
    pub async fn groups_of(&self, accounts: &[Uuid]) -> Result<HashMap<Uuid, Vec<Uuid>>> {
        let rows = self
            .select()
            .filter(Column::AccountId.is_in(accounts.iter().copied()))
            .order_by_asc(Column::CreatedAt)
            .order_by_asc(Column::GroupId);
        let mut groups: HashMap<Uuid, Vec<Uuid>> = HashMap::new();
        for row in rows.fetch_all(self.conn).await? {
            groups.entry(row.account_id).or_default().push(row.group_id);
        }
        Ok(groups)
    }

    /// Removes an account from all groups.
    pub async fn remove_account(&self, account: Uuid) -> Result<()> {
        self.delete_many().filter(Column::AccountId.eq(account)).run(self.conn).await?;
        Ok(())
    }

    /// A query for the accounts in a group.
    pub fn accounts_in(&self, group: Uuid) -> SelectStatement {
        self.of(&[group]).select_only().column(Column::AccountId).into_query()
    }

    async fn among(&self, group: Uuid, accounts: &[Uuid]) -> Result<BTreeSet<Uuid>> {
        let query = self.of(&[group]).filter(Column::AccountId.is_in(accounts.iter().copied()));
        let found: Vec<Uuid> = query.select_only().column(Column::AccountId).into_tuple().fetch_all(self.conn).await?;
        Ok(found.into_iter().collect())
    }

    fn of(&self, groups: &[Uuid]) -> Select<Entity> {
        self.select().filter(Column::GroupId.is_in(groups.iter().copied()))
    }
}
