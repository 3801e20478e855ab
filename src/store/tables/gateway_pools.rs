//! Pools of the gateways of a tenant.

use std::collections::HashMap;

use sea_orm::{ActiveValue::Unchanged, IntoActiveModel, QueryOrder, entity::prelude::*};

use super::rows::{Rows, TenantRows, TenantTable, WithId};
use crate::{
    base::{PageRequest, Result, error::Reason, text::fold},
    store::{
        Db, Fetch, UpdateRow,
        columns::{Json, Owner, PoolSelection, Stamp},
        page::page,
        unique::Unique,
    },
};

/// The unique indexes whose violations callers see.
pub(super) const UNIQUE: &[Unique] = &[Unique {
    index: "gateway_pools_name_unique",
    columns: "gateway_pools.tenant_id, gateway_pools.name_key",
    reason: Reason::GatewayPoolExists,
    message: "a gateway pool with that name already exists",
}];

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "gateway_pools")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The name as it was given. Unique in the tenant, case-insensitively.
    pub name: String,
    /// The name in the form that is compared, which the queries here derive from the name.
    pub name_key: String,
    /// Empty if unknown.
    pub region: String,
    pub selection: PoolSelection,
    pub weight: i64,
    pub priority: i64,
    /// No limit if it is missing.
    pub max_sessions: Option<i64>,
    /// Groups whose devices may use the pool; empty for all.
    pub allowed_group_ids: Json<Vec<Uuid>>,
    pub virtual_cidr: Option<String>,
    pub dns_servers: Json<Vec<String>>,
    /// When the remaining sessions end, if the pool drains.
    pub drain_deadline: Option<Stamp>,
    /// Raised by every change.
    pub version: i64,
    pub created_at: Stamp,
    pub updated_at: Stamp,
    /// How long its gateways may admit devices by their certificates alone while they are cut off.
    pub offline_grace_seconds: i64,
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
    pub fn gateway_pools(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// All pools, oldest first.
    pub async fn all(&self) -> Result<Vec<Model>> {
        Ok(self.select().order_by_asc(Column::Id).fetch_all(self.conn).await?)
    }

    /// Those of the pools that exist.
    pub async fn existing(&self, ids: &[Uuid]) -> Result<Vec<Uuid>> {
        let found = self.select().filter(Column::Id.is_in(ids.iter().copied())).fetch_all(self.conn).await?;
        Ok(found.into_iter().map(|pool| pool.id).collect())
    }

    /// Those of the pools that exist, by id.
    pub async fn of(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Model>> {
        let found = self.select().filter(Column::Id.is_in(ids.iter().copied())).fetch_all(self.conn).await?;
        Ok(found.into_iter().map(|pool| (pool.id, pool)).collect())
    }

    /// A page of the pools, oldest first, and the total number.
    pub async fn page(&self, request: PageRequest) -> Result<(Vec<Model>, u64)> {
        page(self.select(), Column::Id, request, self.conn).await
    }

    /// Inserts a pool. Fails with [`GatewayPoolExists`](Reason::GatewayPoolExists) if the name is taken.
    pub async fn insert(&self, pool: &Model) -> Result<()> {
        self.add(with_key(pool)).await
    }

    /// Updates a pool. Fails with [`GatewayPoolExists`](Reason::GatewayPoolExists) if the name is taken.
    pub async fn update(&self, pool: &Model) -> Result<()> {
        let row = with_key(pool).into_active_model().reset_all();
        let row = ActiveModel { tenant_id: Unchanged(self.tenant), id: Unchanged(pool.id), ..row };
        row.update_row(self.conn).await?;
        Ok(())
    }

    /// Deletes a pool. Returns whether it existed.
    pub async fn delete(&self, id: Uuid) -> Result<bool> {
        self.remove(id).await
    }
}

fn with_key(pool: &Model) -> Model {
    Model { name_key: fold(&pool.name), ..pool.clone() }
}
