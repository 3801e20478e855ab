//! The provisioned databases of tenants. Their names are in `derived_names` and `tenant_placements`.

use sea_orm::{IntoActiveModel, entity::prelude::*, sea_query::OnConflict};

use super::rows::{Rows, TenantRows, TenantTable};
use crate::{
    base::Result,
    store::{
        Db, Exec, Fetch,
        columns::{Owner, Stamp},
    },
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tenant_databases")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// When it was first ready.
    pub created_at: Stamp,
    /// When it was last provisioned.
    pub updated_at: Stamp,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TenantTable for Entity {
    const TENANT: Column = Column::TenantId;
}

impl<'a, C> TenantRows<'a, C> {
    pub fn database(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// The database, if the tenant has one.
    pub async fn get(&self) -> Result<Option<Model>> {
        Ok(self.select().fetch_one(self.conn).await?)
    }

    /// Records that the database was provisioned.
    pub async fn provisioned(&self, at: Stamp) -> Result<()> {
        let row = Model { tenant_id: self.tenant, created_at: at, updated_at: at };
        let again = OnConflict::column(Column::TenantId).update_column(Column::UpdatedAt).to_owned();
        Entity::insert(row.into_active_model()).on_conflict(again).run(self.conn).await?;
        Ok(())
    }
}
