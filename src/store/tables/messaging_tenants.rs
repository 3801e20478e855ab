//! Settings of a tenant on the messaging surface.

use sea_orm::{IntoActiveModel, SelectTwoModel, Selector, entity::prelude::*, sea_query::OnConflict};

use super::{
    rows::{Rows, TenantRows, TenantTable},
    tenants::{self, ByRef},
};
use crate::{
    base::{Access, Result, TenantId, TenantRef, TenantScope},
    store::{
        Db, Exec, Fetch, Kept, Store,
        columns::{Json, Owner, TenantStatus},
        submit_rows,
        tenant_lookup::{may_look_up, reach},
    },
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "messaging_tenants")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// Token subjects that administer the tenant, without duplicates.
    pub admin_roles: Json<Vec<String>>,
    /// Clusters that the tenant may use, without duplicates.
    pub allowed_clusters: Json<Vec<String>>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "super::tenants::Entity", from = "Column::TenantId", to = "super::tenants::Column::Id")]
    Tenant,
}

impl Related<tenants::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Tenant.def()
    }
}

impl Related<Entity> for tenants::Entity {
    fn to() -> RelationDef {
        Relation::Tenant.def().rev()
    }
}

impl ActiveModelBehavior for ActiveModel {}

impl TenantTable for Entity {
    const TENANT: Column = Column::TenantId;
}

impl<'a, C> TenantRows<'a, C> {
    pub fn messaging(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// The settings, if the tenant has any.
    pub async fn get(&self) -> Result<Option<Model>> {
        Ok(self.select().fetch_one(self.conn).await?)
    }

    /// Inserts the settings of a new tenant.
    pub async fn insert(&self, admin_roles: &[String], allowed_clusters: &[String]) -> Result<()> {
        Ok(submit_rows::<Entity>(self.conn, vec![self.row(admin_roles, allowed_clusters)]).await?)
    }

    /// Inserts or replaces the settings.
    pub async fn put(&self, admin_roles: &[String], allowed_clusters: &[String]) -> Result<()> {
        let row = self.row(admin_roles, allowed_clusters).into_active_model();
        let replace = OnConflict::column(Column::TenantId)
            .update_columns([Column::AdminRoles, Column::AllowedClusters])
            .to_owned();
        Entity::insert(row).on_conflict(replace).run(self.conn).await?;
        Ok(())
    }

    fn row(&self, admin_roles: &[String], allowed_clusters: &[String]) -> Model {
        Model {
            tenant_id: self.tenant,
            admin_roles: Json(admin_roles.to_vec()),
            allowed_clusters: Json(allowed_clusters.to_vec()),
        }
    }
}

impl Store {
    /// A tenant with its messaging settings, in one query.
    pub async fn tenant_with_messaging(
        &self,
        access: &Access,
        reference: &TenantRef,
    ) -> Result<Option<(TenantScope, tenants::Model, Option<Model>)>> {
        may_look_up(access, reference)?;
        let Some(by) = ByRef::of(reference) else {
            return Ok(reach(access, reference, None)?.and(None));
        };
        let found = self.with_messaging(&by).await?;
        let key = found.as_ref().map(|(tenant, _)| (tenant.id, tenant.name_key.as_str()));
        let scope = reach(access, reference, key)?;
        Ok(scope.zip(found).map(|(scope, (tenant, settings))| (scope, tenant, settings.flatten())))
    }

    /// The id and the admin roles of a tenant in one of these statuses, in one query. Takes no scope, because the guard
    /// needs it before there is one; it returns nothing else.
    pub async fn messaging_admin_roles(
        &self,
        reference: &TenantRef,
        statuses: &[TenantStatus],
    ) -> Result<Option<(TenantId, Vec<String>)>> {
        let Some(by) = ByRef::of(reference) else { return Ok(None) };
        let found = self.with_messaging(&by).await?.filter(|(tenant, _)| statuses.contains(&tenant.status));
        Ok(found.and_then(|(tenant, settings)| Some((tenant.id, settings.flatten()?.admin_roles.0))))
    }

    async fn with_messaging(&self, by: &ByRef) -> Result<Option<(tenants::Model, Option<Option<Model>>)>> {
        static TEXTS: [Kept; 3] = [const { Kept::new() }; 3];
        let (text, values) = by.kept(&TEXTS);
        Ok(text.fetch_one(self.read(), values, || with_settings(by.select())).await?)
    }
}

/// Tenants with their settings. As an `Option`, because SeaORM takes other joined rows that it cannot read for missing.
fn with_settings(query: Select<tenants::Entity>) -> Selector<SelectTwoModel<tenants::Model, Option<Model>>> {
    query.find_also_related(Entity).into_model()
}
