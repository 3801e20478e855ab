//! The tenants of credentials, from the registry.

use async_trait::async_trait;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::authenticate::Tenants;
use crate::{
    base::{Result, TenantId, TenantRef, caller::CallerTenant},
    store::{Store, entities::tenants},
};

#[async_trait]
impl Tenants for Store {
    async fn find(&self, tenant: &TenantRef) -> Result<Option<CallerTenant>> {
        let named = match tenant {
            TenantRef::Id(id) => tenants::Column::Id.eq(id.uuid()),
            TenantRef::Name(key) => tenants::Column::NameKey.eq(key),
        };
        let row = tenants::Entity::find().filter(named).one(self.read()).await?;
        Ok(row.filter(|row| row.status != "deprovisioning").map(|row| CallerTenant {
            id: TenantId::from_uuid(row.id),
            key: row.name_key,
            suspended: row.status == "suspended",
        }))
    }
}
