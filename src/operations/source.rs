//! The source of operations for streams.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::Operation;
use crate::{
    base::{Error, Result, ids::read_dashed},
    store::{
        Fetch, Resource, Store,
        tables::operations::{Column, Entity, Model},
    },
    streams::{Readable, Source, WatchScope, ids_of},
};

/// The operations. Their keys are their ids. A stream begins with those that have not ended.
#[derive(Debug)]
pub struct OperationSource(Store);

impl OperationSource {
    pub fn new(store: &Store) -> Self {
        Self(store.clone())
    }
}

impl Source for OperationSource {
    type State = Operation;

    const RESOURCE: Resource = Resource::Operation;

    async fn load(&self, keys: &[String]) -> Result<HashMap<String, Readable<Operation>>> {
        let (ids, mut states) = ids_of(keys, id);
        let rows = Entity::find().filter(Column::Id.is_in(ids)).fetch_all(self.0.read()).await?;
        states.extend(rows.into_iter().map(keyed));
        Ok(states)
    }

    async fn page(
        &self,
        scope: WatchScope,
        after: Option<&str>,
        limit: u64,
    ) -> Result<Vec<(String, Readable<Operation>)>> {
        let after = after.map(id).transpose()?;
        let wanted = Condition::all()
            .add(Column::EndedAt.is_null())
            .add_option(scope.tenant().map(|tenant| Column::TenantId.eq(tenant)))
            .add_option(after.map(|after| Column::Id.gt(after)));
        let query = Entity::find().filter(wanted).order_by_asc(Column::Id).limit(limit);
        Ok(query.fetch_all(self.0.read()).await?.into_iter().map(keyed).collect())
    }
}

fn keyed(row: Model) -> (String, Readable<Operation>) {
    (row.id.as_hyphenated().to_string(), Operation::try_from(row))
}

/// The id of a key.
fn id(key: &str) -> Result<Uuid> {
    read_dashed(key)
        .ok_or_else(|| Error::internal("an outbox event of an operation has a key that is not the id of one"))
}
