//! Where the database of a tenant is. Without credentials.

use sea_orm::{IntoActiveModel, entity::prelude::*, sea_query::OnConflict};

use super::rows::{Rows, TenantRows, TenantTable};
use crate::{
    base::Result,
    store::{
        Db, Exec, Fetch,
        columns::{Owner, PlacementTier, Stamp},
    },
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tenant_placements")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// Host names or addresses, separated by commas.
    pub host: Option<String>,
    pub port: Option<i64>,
    pub dbname: Option<String>,
    pub region: Option<String>,
    pub tier: PlacementTier,
    /// The role in OpenBAO that issues credentials.
    pub openbao_role: Option<String>,
    pub created_at: Stamp,
    pub updated_at: Stamp,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TenantTable for Entity {
    const TENANT: Column = Column::TenantId;
}

impl<'a, C> TenantRows<'a, C> {
    pub fn placement(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// The placement, if the tenant has one.
    pub async fn get(&self) -> Result<Option<Model>> {
        Ok(self.select().fetch_one(self.conn).await?)
    }

    /// Inserts or replaces the placement.
    pub async fn put(&self, placement: Model) -> Result<()> {
        let columns = [
            Column::Host,
            Column::Port,
            Column::Dbname,
            Column::Region,
            Column::Tier,
            Column::OpenbaoRole,
            Column::UpdatedAt,
        ];
        let replace = OnConflict::column(Column::TenantId).update_columns(columns).to_owned();
        Entity::insert(placement.into_active_model()).on_conflict(replace).run(self.conn).await?;
        Ok(())
    }
}
