//! Invoices of closed months, which never change. The rows are kept after the tenant is gone.

use sea_orm::{IntoActiveModel, entity::prelude::*, sea_query::OnConflict};

use super::rows::{Rows, TenantRows, TenantTable};
use crate::{
    base::{Result, TenantId},
    store::{
        Db, Exec, Fetch, TxConn,
        columns::{Owner, Stamp},
    },
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "invoices")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    #[sea_orm(primary_key, auto_increment = false)]
    pub month: i64,
    /// JSON.
    pub document: String,
    pub closed_at: Stamp,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TenantTable for Entity {
    const TENANT: Column = Column::TenantId;
}

impl<'a, C> TenantRows<'a, C> {
    pub fn invoices(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// Inserts an invoice, unless there is one.
    pub async fn insert(&self, month: i64, document: String, closed_at: Stamp) -> Result<()> {
        let row = Model { tenant_id: self.tenant, month, document, closed_at };
        let insert = Entity::insert(row.into_active_model()).on_conflict(OnConflict::new().do_nothing().to_owned());
        insert.run(self.conn).await?;
        Ok(())
    }
}

/// The invoice of a tenant, which may be gone. Takes no scope: the caller checks access to the tenant, or is of the platform.
pub async fn kept(conn: &impl Db, tenant: TenantId, month: i64) -> Result<Option<Model>> {
    let kept = Entity::find().filter(Column::TenantId.eq(tenant)).filter(Column::Month.eq(month));
    Ok(kept.fetch_one(conn).await?)
}

/// The rows of a tenant that may be gone. For the job that closes months.
pub fn rows_of(conn: &TxConn, tenant: TenantId) -> TenantRows<'_, TxConn> {
    TenantRows::of_owner(conn, Owner::of_gone(tenant))
}
