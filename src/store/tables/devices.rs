//! Devices of a tenant.

use std::collections::BTreeMap;

use sea_orm::{ActiveValue::Unchanged, IntoActiveModel, QuerySelect, entity::prelude::*};

use super::rows::{Rows, TenantRows, TenantTable, WithId};
use crate::{
    base::Result,
    store::{
        Count, Db, Fetch, UpdateRow,
        columns::{DeviceStatus, EnrolledVia, Json, Owner, Platform, Stamp},
    },
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "devices")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Its user.
    pub account_id: Option<Uuid>,
    pub name: String,
    pub platform: Platform,
    pub os_version: String,
    pub client_version: String,
    /// What the device said about its hardware; not verified.
    pub hardware_id_hash: Option<String>,
    pub status: DeviceStatus,
    /// Whether it was suspended because its user was.
    pub suspended_with_user: bool,
    pub enrolled_via: EnrolledVia,
    /// The token that it enrolled with.
    pub token_id: Option<Uuid>,
    /// Groups that its token gave it, in addition to those of its user.
    pub group_ids: Json<Vec<Uuid>>,
    /// Whether it is deleted when it has not been seen for a day.
    pub ephemeral: bool,
    pub labels: Json<BTreeMap<String, String>>,
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
    pub fn devices(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// Loads and locks a device.
    pub async fn get_locked(&self, id: Uuid) -> Result<Option<Model>> {
        Ok(self.select().filter(Column::Id.eq(id)).lock_exclusive().fetch_one(self.conn).await?)
    }

    /// How many devices of the tenant, or of one of its users, are not revoked.
    pub async fn seats(&self, account: Option<Uuid>) -> Result<u64> {
        let query = self.select().filter(Column::Status.ne(DeviceStatus::Revoked));
        let query = match account {
            Some(account) => query.filter(Column::AccountId.eq(account)),
            None => query,
        };
        Ok(query.fetch_count(self.conn).await?)
    }

    /// Inserts a device.
    pub async fn insert(&self, device: Model) -> Result<()> {
        self.add(device).await
    }

    /// Updates a device.
    pub async fn update(&self, device: &Model) -> Result<()> {
        let row = device.clone().into_active_model().reset_all();
        let row = ActiveModel { tenant_id: Unchanged(self.tenant), id: Unchanged(device.id), ..row };
        row.update_row(self.conn).await?;
        Ok(())
    }
}
