//! Gateways of a tenant.

use sea_orm::{ActiveValue::Unchanged, IntoActiveModel, QuerySelect, entity::prelude::*};

use super::rows::{Rows, TenantRows, TenantTable, WithId};
use crate::{
    base::Result,
    store::{
        Count, Db, Fetch, UpdateRow,
        columns::{GatewayStatus, Json, Owner, Stamp},
    },
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "gateways")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub pool_id: Uuid,
    pub name: String,
    /// Empty if unknown.
    pub region: String,
    /// Where clients reach it.
    pub endpoints: Json<Vec<String>>,
    /// The version of its program.
    pub gateway_version: String,
    pub status: GatewayStatus,
    /// When its remaining sessions end, if it drains.
    pub drain_deadline: Option<Stamp>,
    /// The token that it enrolled with.
    pub token_id: Option<Uuid>,
    pub last_seen_at: Option<Stamp>,
    pub last_ip: Option<String>,
    /// Raised by every change of what administrators see and decide.
    pub version: i64,
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
    pub fn gateways(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// Loads and locks a gateway.
    pub async fn get_locked(&self, id: Uuid) -> Result<Option<Model>> {
        Ok(self.select().filter(Column::Id.eq(id)).lock_exclusive().fetch_one(self.conn).await?)
    }

    /// How many gateways of the tenant are not revoked.
    pub async fn seats(&self) -> Result<u64> {
        Ok(self.select().filter(Column::Status.ne(GatewayStatus::Revoked)).fetch_count(self.conn).await?)
    }

    /// Inserts a gateway.
    pub async fn insert(&self, gateway: Model) -> Result<()> {
        self.add(gateway).await
    }

    /// Updates a gateway.
    pub async fn update(&self, gateway: &Model) -> Result<()> {
        let row = gateway.clone().into_active_model().reset_all();
        let row = ActiveModel { tenant_id: Unchanged(self.tenant), id: Unchanged(gateway.id), ..row };
        row.update_row(self.conn).await?;
        Ok(())
    }
}
