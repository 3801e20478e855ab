//! Groups of tenants.

use sea_orm::{
    ActiveModelTrait, ActiveValue::Unchanged, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter,
    QuerySelect, Select,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::TenantRows;
use crate::{
    base::{PageRequest, Result, text::fold},
    store::{
        Stamp,
        entities::groups::{ActiveModel, Column, Entity, Model},
        like::holding,
        page::page,
    },
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRow {
    pub id: Uuid,
    /// Unique in the tenant, case-insensitively.
    pub name: String,
    pub description: String,
    /// `local` or `directory`.
    pub source: String,
    /// The id at the source.
    pub external_id: Option<String>,
    /// The policy that applies to the members.
    pub policy_id: Option<String>,
    /// Raised by every change.
    pub version: i64,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

impl From<Model> for GroupRow {
    fn from(row: Model) -> Self {
        Self {
            id: row.id,
            name: row.name,
            description: row.description,
            source: row.source,
            external_id: row.external_id,
            policy_id: row.policy_id,
            version: row.version,
            created_at: row.created_at.time(),
            updated_at: row.updated_at.time(),
        }
    }
}

impl<C: ConnectionTrait> TenantRows<'_, C> {
    pub async fn group(&self, id: Uuid) -> Result<Option<GroupRow>> {
        Ok(Entity::find_by_id((self.uuid(), id)).one(self.conn).await?.map(GroupRow::from))
    }

    /// Loads and locks a group.
    pub async fn group_locked(&self, id: Uuid) -> Result<Option<GroupRow>> {
        // SQLite has one writer and needs no lock; its dialect omits the clause.
        let query = Entity::find_by_id((self.uuid(), id)).lock_exclusive();
        Ok(query.one(self.conn).await?.map(GroupRow::from))
    }

    /// A page of the groups whose name contains a text (case-insensitively), oldest first, and the total number.
    pub async fn groups(&self, text: &str, request: PageRequest) -> Result<(Vec<GroupRow>, u64)> {
        let (rows, total) = page(self.groups_named(text), Column::Id, request, self.conn).await?;
        Ok((rows.into_iter().map(GroupRow::from).collect(), total))
    }

    fn groups_named(&self, text: &str) -> Select<Entity> {
        let (query, text) = (Entity::find().filter(Column::TenantId.eq(self.uuid())), fold(text));
        if text.is_empty() { query } else { query.filter(Column::NameKey.like(holding(&text))) }
    }

    /// Inserts a group. Fails with [`GroupExists`](crate::base::error::Reason::GroupExists) if the name is taken.
    pub async fn insert_group(&self, group: &GroupRow) -> Result<()> {
        Entity::insert(self.group_model(group).into_active_model()).exec_without_returning(self.conn).await?;
        Ok(())
    }

    /// Updates a group. Fails with [`GroupExists`](crate::base::error::Reason::GroupExists) if the name is taken.
    pub async fn put_group(&self, group: &GroupRow) -> Result<()> {
        let row = self.group_model(group).into_active_model().reset_all();
        let row = ActiveModel { tenant_id: Unchanged(self.uuid()), id: Unchanged(group.id), ..row };
        Entity::update(row).exec(self.conn).await?;
        Ok(())
    }

    /// Deletes a group with its memberships.
    pub async fn delete_group(&self, id: Uuid) -> Result<()> {
        Entity::delete_by_id((self.uuid(), id)).exec(self.conn).await?;
        Ok(())
    }

    fn group_model(&self, group: &GroupRow) -> Model {
        let group = group.clone();
        Model {
            tenant_id: self.uuid(),
            id: group.id,
            name_key: fold(&group.name),
            name: group.name,
            description: group.description,
            source: group.source,
            external_id: group.external_id,
            policy_id: group.policy_id,
            version: group.version,
            created_at: Stamp::from(group.created_at),
            updated_at: Stamp::from(group.updated_at),
        }
    }
}
