//! The source of tenants for streams.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::{Tenant, reachable};
use crate::{
    base::{Error, Result, TenantId},
    store::{
        Resource, Store,
        tables::tenants::{Column, Entity, Model, each, exists},
    },
    streams::{Readable, Source, WatchScope, ids_of},
};

/// The tenants of the registry, in every status. Their keys are their ids.
#[derive(Debug)]
pub struct TenantSource(Store);

impl TenantSource {
    pub fn new(store: &Store) -> Self {
        Self(store.clone())
    }
}

impl Source for TenantSource {
    type State = Tenant;

    const RESOURCE: Resource = Resource::Tenant;

    async fn load(&self, keys: &[String]) -> Result<HashMap<String, Readable<Tenant>>> {
        let (ids, mut states) = ids_of(keys, id);
        let rows = each(Entity::find().filter(Column::Id.is_in(ids)).filter(exists()), self.0.read()).await?;
        states.extend(rows.into_iter().map(keyed));
        Ok(states)
    }

    async fn page(
        &self,
        scope: WatchScope,
        after: Option<&str>,
        limit: u64,
    ) -> Result<Vec<(String, Readable<Tenant>)>> {
        let after = after.map(id).transpose()?;
        let rows = match scope {
            WatchScope::Platform => reachable::rows_after(&self.0, after, limit).await?,
            WatchScope::Tenant(own) if after.is_none_or(|after| own.tenant().uuid() > after.uuid()) => {
                each(Entity::find_by_id(own.tenant()).filter(exists()), self.0.read()).await?
            }
            WatchScope::Tenant(_) => Vec::new(),
        };
        Ok(rows.into_iter().map(keyed).collect())
    }
}

fn keyed((id, row): (TenantId, Result<Model>)) -> (String, Readable<Tenant>) {
    (id.dashed(), row.map(Tenant::from))
}

/// The id of a key. Only the dashed form is a key.
fn id(key: &str) -> Result<TenantId> {
    let id = key.parse().ok().filter(|id: &TenantId| id.dashed() == key);
    id.ok_or_else(|| Error::internal("an outbox event of a tenant has a key that is not the id of one"))
}
