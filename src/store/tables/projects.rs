//! Projects of tenants: what becomes a namespace in the cluster.

use sea_orm::{ActiveValue::Unchanged, Condition, IntoActiveModel, QueryOrder, entity::prelude::*};

use super::{
    rows::{Rows, TenantRows, TenantTable, WithId},
    tenants,
};
use crate::{
    base::{Result, TenantId, error::Reason},
    store::{
        Db, Kept, UpdateRow,
        columns::{Owner, Stamp},
        unique::Unique,
    },
};

/// The unique indexes whose violations callers see.
pub(super) const UNIQUE: &[Unique] = &[Unique {
    index: "projects_name_unique",
    columns: "projects.tenant_id, projects.name",
    reason: Reason::ProjectExists,
    message: "the tenant has a project with that name",
}];

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "projects")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// UUIDv7, unique over all tenants.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The name as it was given. Unique in the tenant, by exact comparison.
    pub name: String,
    /// The name of its namespace in the cluster, which never changes.
    pub namespace: String,
    /// Raised by every change of what is wanted in the cluster.
    pub generation: i64,
    /// The generation that was last seen in the cluster; 0 for none.
    pub observed_generation: i64,
    /// What was last seen in the cluster, as JSON.
    pub observed: Option<String>,
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
    pub fn projects(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// Inserts a project. Fails with [`ProjectExists`](Reason::ProjectExists) if the tenant has one with its name.
    pub async fn insert(&self, project: Model) -> Result<()> {
        self.add(project).await
    }

    /// Updates a project. Fails with [`ProjectExists`](Reason::ProjectExists) if another one has its name.
    pub async fn update(&self, project: &Model) -> Result<()> {
        let row = project.clone().into_active_model().reset_all();
        let row = ActiveModel { tenant_id: Unchanged(self.tenant), id: Unchanged(project.id), ..row };
        row.update_row(self.conn).await?;
        Ok(())
    }

    /// Deletes a project with its apps. Returns whether it existed.
    pub async fn delete(&self, id: Uuid) -> Result<bool> {
        self.remove(id).await
    }
}

/// The tenant of a project. Takes no scope: tokens of projects and requests name only the project. The caller checks access
/// to the tenant.
pub async fn owner(conn: &impl Db, id: Uuid) -> Result<Option<TenantId>> {
    static TEXT: Kept = Kept::new();
    let query = || Entity::find().filter(Column::Id.eq(id)).into_model::<Model>();
    Ok(TEXT.fetch_one(conn, vec![id.into()], query).await?.map(|row| row.tenant_id.tenant()))
}

/// The query for the projects of a tenant, or of all tenants that surfaces show, newest first, after an id.
pub fn query(tenant: Option<TenantId>, after: Option<Uuid>) -> Select<Entity> {
    let wanted = match tenant {
        Some(tenant) => Column::TenantId.eq(tenant),
        None => tenants::is_present((Entity, Column::TenantId)),
    };
    let after = after.map(|after| Column::Id.lt(after));
    Entity::find().filter(wanted).filter(Condition::all().add_option(after)).order_by_desc(Column::Id)
}
