//! A tenant's warehouse facet.

use std::collections::BTreeMap;

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, OnConflict},
};

use super::TenantRows;
use crate::{
    base::{Access, Result, TenantId, scope::platform_only},
    store::{Store, Tx, entities::warehouse_tenants, json},
};

/// What the warehouse surface keeps of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarehouseRow {
    /// Word of the provider that its users log in with.
    pub auth_provider: String,
    /// What the provider needs to know; secrets in it are sealed.
    pub auth_config: BTreeMap<String, String>,
}

impl TryFrom<warehouse_tenants::Model> for WarehouseRow {
    type Error = crate::base::Error;

    fn try_from(row: warehouse_tenants::Model) -> Result<Self> {
        Ok(Self { auth_provider: row.auth_provider, auth_config: json::from_text(&row.auth_config)? })
    }
}

impl<C: ConnectionTrait> TenantRows<'_, C> {
    /// The facet, if the tenant has one.
    pub async fn warehouse(&self) -> Result<Option<WarehouseRow>> {
        let row = warehouse_tenants::Entity::find_by_id(self.uuid()).one(self.conn).await?;
        row.map(WarehouseRow::try_from).transpose()
    }

    /// Writes the facet, whether the tenant had one or not.
    pub async fn put_warehouse(&self, facet: &WarehouseRow) -> Result<()> {
        let row = warehouse_tenants::Model {
            tenant_id: self.uuid(),
            auth_provider: facet.auth_provider.clone(),
            auth_config: json::to_text(&facet.auth_config)?,
        };
        let replace = OnConflict::column(warehouse_tenants::Column::TenantId)
            .update_columns([warehouse_tenants::Column::AuthProvider, warehouse_tenants::Column::AuthConfig])
            .to_owned();
        warehouse_tenants::Entity::insert(row.into_active_model())
            .on_conflict(replace)
            .exec_without_returning(self.conn)
            .await?;
        Ok(())
    }
}

impl Store {
    /// The facets of those of some tenants that have one. For platform callers.
    pub async fn warehouse_facets(
        &self,
        access: &Access,
        tenants: impl IntoIterator<Item = TenantId>,
    ) -> Result<BTreeMap<TenantId, WarehouseRow>> {
        platform_only(access)?;
        let ids = tenants.into_iter().map(TenantId::uuid);
        let rows = warehouse_tenants::Entity::find().filter(warehouse_tenants::Column::TenantId.is_in(ids));
        let rows = rows.all(self.read()).await?;
        rows.into_iter().map(|row| Ok((TenantId::from_uuid(row.tenant_id), row.try_into()?))).collect()
    }

    /// Facets in the order of their tenants' ids, after one of them. For the program's own work.
    pub(crate) async fn warehouse_page(
        &self,
        after: Option<TenantId>,
        limit: u64,
    ) -> Result<Vec<(TenantId, WarehouseRow)>> {
        let mut query = warehouse_tenants::Entity::find();
        if let Some(after) = after {
            query = query.filter(warehouse_tenants::Column::TenantId.gt(after.uuid()));
        }
        let rows = query.order_by_asc(warehouse_tenants::Column::TenantId).limit(limit).all(self.read()).await?;
        rows.into_iter().map(|row| Ok((TenantId::from_uuid(row.tenant_id), row.try_into()?))).collect()
    }
}

impl Tx {
    /// Replaces the configuration of a facet, unless it is another one by now; whether it did. For the program's own work.
    pub(crate) async fn swap_warehouse_config(
        &self,
        tenant: TenantId,
        before: &WarehouseRow,
        config: &BTreeMap<String, String>,
    ) -> Result<bool> {
        let update = warehouse_tenants::Entity::update_many()
            .col_expr(warehouse_tenants::Column::AuthConfig, Expr::value(json::to_text(config)?))
            .filter(warehouse_tenants::Column::TenantId.eq(tenant.uuid()))
            .filter(warehouse_tenants::Column::AuthConfig.eq(json::to_text(&before.auth_config)?));
        Ok(update.exec(self.conn()).await?.rows_affected == 1)
    }
}
