//! Settings of tenants on the warehouse surface.

use std::collections::BTreeMap;

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, sea_query::OnConflict};

use super::TenantRows;
use crate::{
    base::{Access, Result, TenantId, scope::platform_only},
    store::{Store, entities::warehouse_tenants, json},
};

/// Settings of a tenant on the warehouse surface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarehouseRow {
    /// The authentication provider of its users.
    pub auth_provider: String,
    /// The provider's configuration; secrets are sealed.
    pub auth_config: BTreeMap<String, String>,
}

impl TryFrom<warehouse_tenants::Model> for WarehouseRow {
    type Error = crate::base::Error;

    fn try_from(row: warehouse_tenants::Model) -> Result<Self> {
        Ok(Self { auth_provider: row.auth_provider, auth_config: json::from_text(&row.auth_config)? })
    }
}

impl<C: ConnectionTrait> TenantRows<'_, C> {
    /// The settings, if the tenant has any.
    pub async fn warehouse(&self) -> Result<Option<WarehouseRow>> {
        let row = warehouse_tenants::Entity::find_by_id(self.uuid()).one(self.conn).await?;
        row.map(WarehouseRow::try_from).transpose()
    }

    /// Inserts or replaces the settings.
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
    /// The settings of those of the given tenants that have any. For platform callers.
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
}
