//! Groups of the accounts of a tenant.

use sea_orm::{ActiveValue::Unchanged, IntoActiveModel, entity::prelude::*};

use super::rows::{Rows, TenantRows, TenantTable, WithId};
use crate::{
    base::{PageRequest, Result, error::Reason, text::fold},
    store::{
        Db, Fetch, UpdateRow,
        columns::{Owner, Source, Stamp},
        like::holding,
        page::page,
        unique::Unique,
    },
};

/// The unique indexes whose violations callers see.
pub(super) const UNIQUE: &[Unique] = &[Unique {
    index: "groups_name_unique",
    columns: "groups.tenant_id, groups.name_key",
    reason: Reason::GroupExists,
    message: "a group with that name already exists",
}];

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "groups")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The name as it was given. Unique in the tenant, case-insensitively.
    pub name: String,
    /// The name in the form that is compared, which the queries here derive from the name.
    pub name_key: String,
    pub description: String,
    pub source: Source,
    /// The id at the source.
    pub external_id: Option<String>,
    /// The policy that applies to the members.
    pub policy_id: Option<String>,
    /// Raised by every change.
    pub version: i64,
    pub created_at: Stamp,
    pub updated_at: Stamp,
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

impl<'a, C> TenantRows<'a, C> {
    pub fn groups(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// A page of the groups whose name contains a text (case-insensitively), oldest first, and the total number.
    pub async fn page(&self, text: &str, request: PageRequest) -> Result<(Vec<Model>, u64)> {
        page(self.named(text), Column::Id, request, self.conn).await
    }

    fn named(&self, text: &str) -> Select<Entity> {
        let (query, text) = (self.select(), fold(text));
        if text.is_empty() { query } else { query.filter(Column::NameKey.like(holding(&text))) }
    }

    /// Those of the groups that exist.
    pub async fn existing(&self, ids: &[Uuid]) -> Result<Vec<Uuid>> {
        let found = self.select().filter(Column::Id.is_in(ids.iter().copied())).fetch_all(self.conn).await?;
        Ok(found.into_iter().map(|group| group.id).collect())
    }

    /// Inserts a group. Fails with [`GroupExists`](Reason::GroupExists) if the name is taken.
    pub async fn insert(&self, group: &Model) -> Result<()> {
        self.add(with_key(group)).await
    }

    /// Updates a group. Fails with [`GroupExists`](Reason::GroupExists) if the name is taken.
    pub async fn update(&self, group: &Model) -> Result<()> {
        let row = with_key(group).into_active_model().reset_all();
        let row = ActiveModel { tenant_id: Unchanged(self.tenant), id: Unchanged(group.id), ..row };
        row.update_row(self.conn).await?;
        Ok(())
    }

    /// Deletes a group with its memberships. Returns whether it existed.
    pub async fn delete(&self, id: Uuid) -> Result<bool> {
        self.remove(id).await
    }
}

fn with_key(group: &Model) -> Model {
    Model { name_key: fold(&group.name), ..group.clone() }
}
