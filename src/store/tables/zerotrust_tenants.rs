//! Settings of a tenant on the zero-trust surface: its subscription.

use std::collections::HashMap;

use sea_orm::{IntoActiveModel, entity::prelude::*, sea_query::OnConflict};
use serde_json::{Map, Value};

use super::rows::{Rows, TenantRows, TenantTable};
use crate::{
    base::{Result, TenantId, TenantScope},
    store::{
        Db, Exec, Fetch, Store,
        columns::{Json, Owner},
    },
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "zerotrust_tenants")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    pub plan: String,
    /// Limits that override those of the plan, by name.
    pub overrides: Json<Map<String, Value>>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TenantTable for Entity {
    const TENANT: Column = Column::TenantId;
}

impl<'a, C> TenantRows<'a, C> {
    pub fn zerotrust(&self) -> Rows<'a, C, Entity> {
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
        let again = OnConflict::column(Column::TenantId).update_columns([Column::Plan, Column::Overrides]).to_owned();
        Entity::insert(settings.into_active_model()).on_conflict(again).run(self.conn).await?;
        Ok(())
    }
}

impl Store {
    /// The settings of these tenants; those created by another surface may have none.
    pub async fn zerotrust_settings(&self, tenants: &[TenantScope]) -> Result<HashMap<TenantId, Model>> {
        let ids = tenants.iter().map(|scope| scope.tenant());
        let rows = Entity::find().filter(Column::TenantId.is_in(ids)).fetch_all(self.read()).await?;
        Ok(rows.into_iter().map(|row| (row.tenant_id.tenant(), row)).collect())
    }
}
