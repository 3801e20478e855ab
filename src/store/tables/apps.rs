//! Apps of projects.

use sea_orm::{ActiveValue::Unchanged, Condition, IntoActiveModel, QueryOrder, QuerySelect, entity::prelude::*};

use super::{
    rows::{Rows, TenantRows, TenantTable, WithId},
    tenants,
};
use crate::{
    base::{Result, TenantId, error::Reason},
    store::{
        Db, Fetch, Kept, UpdateRow,
        columns::{Owner, Stamp},
        unique::Unique,
    },
};

/// The unique indexes whose violations callers see.
pub(super) const UNIQUE: &[Unique] = &[Unique {
    index: "apps_name_unique",
    columns: "apps.tenant_id, apps.project_id, apps.name",
    reason: Reason::AppExists,
    message: "the project has an app with that name",
}];

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "apps")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// UUIDv7, unique over all tenants.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub project_id: Uuid,
    /// The name as it was given. Unique in the project, by exact comparison.
    pub name: String,
    /// The image as it was given.
    pub image: Option<String>,
    pub host: Option<String>,
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
    pub fn apps(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// The ids of the apps of a project.
    pub async fn ids_of(&self, project: Uuid) -> Result<Vec<Uuid>> {
        let of_project = self.select().filter(Column::ProjectId.eq(project)).select_only().column(Column::Id);
        Ok(of_project.into_tuple().fetch_all(self.conn).await?)
    }

    /// Inserts an app. Fails with [`AppExists`](Reason::AppExists) if the project has one with its name.
    pub async fn insert(&self, app: Model) -> Result<()> {
        self.add(app).await
    }

    /// Updates an app. Fails with [`AppExists`](Reason::AppExists) if another one of the project has its name.
    pub async fn update(&self, app: &Model) -> Result<()> {
        let row = app.clone().into_active_model().reset_all();
        let row = ActiveModel { tenant_id: Unchanged(self.tenant), id: Unchanged(app.id), ..row };
        row.update_row(self.conn).await?;
        Ok(())
    }

    /// Deletes an app. Returns whether it existed.
    pub async fn delete(&self, id: Uuid) -> Result<bool> {
        self.remove(id).await
    }
}

/// The tenant of an app. Takes no scope: requests name only the app. The caller checks access to the tenant.
pub async fn owner(conn: &impl Db, id: Uuid) -> Result<Option<TenantId>> {
    static TEXT: Kept = Kept::new();
    let query = || Entity::find().filter(Column::Id.eq(id)).into_model::<Model>();
    Ok(TEXT.fetch_one(conn, vec![id.into()], query).await?.map(|row| row.tenant_id.tenant()))
}

/// Which apps a list has.
#[derive(Clone, Copy, Debug)]
pub enum AppsOf {
    /// Those of all tenants that surfaces show.
    All,
    Tenant(TenantId),
    Project(TenantId, Uuid),
}

/// The query for apps, newest first, after an id.
pub fn query(of: AppsOf, after: Option<Uuid>) -> Select<Entity> {
    let wanted = match of {
        AppsOf::All => Condition::all().add(tenants::is_present((Entity, Column::TenantId))),
        AppsOf::Tenant(tenant) => Condition::all().add(Column::TenantId.eq(tenant)),
        AppsOf::Project(tenant, project) => {
            Condition::all().add(Column::TenantId.eq(tenant)).add(Column::ProjectId.eq(project))
        }
    };
    let after = after.map(|after| Column::Id.lt(after));
    Entity::find().filter(wanted.add_option(after)).order_by_desc(Column::Id)
}
