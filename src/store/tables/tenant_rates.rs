//! Rates of tenants with the time from which they apply. The rows are kept after the tenant is gone.

use sea_orm::{IntoActiveModel, QueryOrder, entity::prelude::*, sea_query::OnConflict};

use super::rows::{Rows, TenantRows, TenantTable};
use crate::{
    base::Result,
    store::{
        Db, Exec, Fetch,
        columns::{Owner, Stamp},
    },
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tenant_rates")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// The beginning of an hour.
    #[sea_orm(primary_key, auto_increment = false)]
    pub effective_from: Stamp,
    /// A decimal; null for the rate of the configuration.
    pub cpu_milli: Option<String>,
    /// A decimal; null for the rate of the configuration.
    pub mem_mib: Option<String>,
    /// A decimal from 0 to 1.
    pub discount: String,
    pub created_at: Stamp,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TenantTable for Entity {
    const TENANT: Column = Column::TenantId;
}

impl<'a, C> TenantRows<'a, C> {
    pub fn rates(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// All rates, oldest first.
    pub async fn all(&self) -> Result<Vec<Model>> {
        Ok(self.select().order_by_asc(Column::EffectiveFrom).fetch_all(self.conn).await?)
    }

    /// Sets the rates from a time, and replaces those from the same time.
    pub async fn set(&self, rates: Model) -> Result<()> {
        let replaced = OnConflict::columns([Column::TenantId, Column::EffectiveFrom])
            .update_columns([Column::CpuMilli, Column::MemMib, Column::Discount, Column::CreatedAt])
            .to_owned();
        Entity::insert(rates.into_active_model()).on_conflict(replaced).run(self.conn).await?;
        Ok(())
    }
}
