//! Which operations are due.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::{Kinds, Operation};
use crate::{
    base::Result,
    store::{
        Stamp, Store,
        entities::operations::{Column, Entity},
    },
};

/// Most operations of one look. It is more than a few servers run, because those that they run are due too.
const MOST: u64 = 256;

/// The operations that are due and that a server of these kinds can run, those that wait for the longest time first. Some
/// may be running on other servers.
pub(super) async fn due(store: &Store, kinds: &Kinds) -> Result<Vec<Uuid>> {
    let now = Stamp::from(store.time().await?);
    let rows = Entity::find()
        .filter(Column::EndedAt.is_null())
        .filter(Column::DueAt.lte(now))
        .filter(Column::Kind.is_in(kinds.names()))
        .order_by_asc(Column::DueAt)
        .order_by_asc(Column::Id)
        .limit(MOST)
        .all(store.read())
        .await?;
    let operations = rows.into_iter().map(Operation::try_from).collect::<Result<Vec<_>>>()?;
    Ok(operations.iter().filter(|operation| kinds.of(operation).is_some()).map(|operation| operation.id).collect())
}
