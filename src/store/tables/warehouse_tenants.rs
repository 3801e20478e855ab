//! Settings of a tenant on the warehouse surface.

use std::collections::BTreeMap;

use sea_orm::{IntoActiveModel, entity::prelude::*, sea_query::OnConflict};

use super::rows::{Rows, TenantRows, TenantTable};
use crate::{
    base::{Access, Result, TenantId, scope::platform_only},
    store::{
        Db, Exec, Fetch, Store,
        columns::{Json, Owner},
    },
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "warehouse_tenants")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// The authentication provider of its users.
    pub auth_provider: String,
    /// The provider's configuration; secrets are sealed.
    pub auth_config: Json<BTreeMap<String, String>>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TenantTable for Entity {
    const TENANT: Column = Column::TenantId;
}

impl<'a, C> TenantRows<'a, C> {
    pub fn warehouse(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// The settings, if the tenant has any.
    pub async fn get(&self) -> Result<Option<Model>> {
        Ok(self.select().fetch_one(self.conn).await?)
    }

    /// Inserts or replaces the settings.
    pub async fn put(&self, settings: Model) -> Result<()> {
        let replace =
            OnConflict::column(Column::TenantId).update_columns([Column::AuthProvider, Column::AuthConfig]).to_owned();
        Entity::insert(settings.into_active_model()).on_conflict(replace).run(self.conn).await?;
        Ok(())
    }
}

impl Store {
    /// The settings of those of the given tenants that have any. For platform callers.
    pub async fn warehouse_settings(
        &self,
        access: &Access,
        tenants: impl IntoIterator<Item = TenantId>,
    ) -> Result<BTreeMap<TenantId, Model>> {
        platform_only(access)?;
        let rows = Entity::find().filter(Column::TenantId.is_in(tenants)).fetch_all(self.read()).await?;
        Ok(rows.into_iter().map(|row| (row.tenant_id.tenant(), row)).collect())
    }
}
