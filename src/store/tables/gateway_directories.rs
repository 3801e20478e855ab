//! The numbers of the gateway directories of tenants. A number is raised when the directory says something else.

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
#[sea_orm(table_name = "gateway_directories")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    pub number: i64,
    /// SHA-256 of what the whole directory says, in hex.
    pub content: String,
    /// When it began to say that.
    pub issued_at: Stamp,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TenantTable for Entity {
    const TENANT: Column = Column::TenantId;
}

impl<'a, C> TenantRows<'a, C> {
    pub fn gateway_directories(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// That of the tenant.
    pub async fn current(&self) -> Result<Option<Model>> {
        Ok(self.select().fetch_one(self.conn).await?)
    }

    /// Inserts or replaces that of the tenant.
    pub async fn put(&self, directory: Model) -> Result<()> {
        let columns = [Column::Number, Column::Content, Column::IssuedAt];
        let again = OnConflict::column(Column::TenantId).update_columns(columns).to_owned();
        Entity::insert(directory.into_active_model()).on_conflict(again).run(self.conn).await?;
        Ok(())
    }
}
