//! Tenants as streams read them.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::{Tenant, reachable};
use crate::{
    base::{Error, Result, TenantId},
    store::{
        Resource, Store,
        entities::tenants::{Column, Entity, exists},
    },
    streams::{Reach, Source},
};

/// The tenants of the registry, in every status. Their keys are their ids.
#[derive(Debug)]
pub struct TenantSource(Store);

impl TenantSource {
    /// Of a store.
    pub fn new(store: &Store) -> Self {
        Self(store.clone())
    }
}

impl Source for TenantSource {
    type State = Tenant;

    const RESOURCE: Resource = Resource::Tenant;

    async fn load(&self, keys: &[String]) -> Result<HashMap<String, Tenant>> {
        let ids = keys.iter().map(|key| id(key).map(TenantId::uuid)).collect::<Result<Vec<_>>>()?;
        let rows = Entity::find().filter(Column::Id.is_in(ids)).filter(exists()).all(self.0.read()).await?;
        let keyed = |row| Tenant::try_from(row).map(|tenant| (tenant.id.dashed(), tenant));
        rows.into_iter().map(keyed).collect()
    }

    async fn page(&self, reach: Reach, after: Option<&str>, limit: u64) -> Result<Vec<(String, Tenant)>> {
        let after = after.map(id).transpose()?;
        let tenants = match reach {
            Reach::Everything => reachable::after(&self.0, after, limit).await?,
            Reach::Tenant(own) if after.is_none_or(|after| own.tenant().uuid() > after.uuid()) => {
                let row = Entity::find_by_id(own.tenant().uuid()).filter(exists()).one(self.0.read()).await?;
                row.map(Tenant::try_from).transpose()?.into_iter().collect()
            }
            Reach::Tenant(_) => Vec::new(),
        };
        Ok(tenants.into_iter().map(|tenant| (tenant.id.dashed(), tenant)).collect())
    }
}

fn id(key: &str) -> Result<TenantId> {
    key.parse().map_err(|_| Error::internal("an outbox event of a tenant has a key that is not the id of one"))
}
