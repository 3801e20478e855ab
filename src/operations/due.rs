//! Which operations are due.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::{Kinds, Operation, State};
use crate::{
    base::{Error, Result},
    store::{
        Fetch, Stamp, Store,
        tables::operations::{Column, Entity},
    },
};

/// Maximum number of operations in one query. It exceeds what a few servers run at a time, because running operations are due too.
const LIMIT: u64 = 256;

/// The operations that are due.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Operations that this server can run, the longest due first. Some may be running on other servers.
    pub ids: Vec<Uuid>,
    /// Operations with unreadable rows. They are skipped, so that the others run.
    pub unreadable: Vec<(Uuid, Error)>,
}

/// The due operations that a server with these kinds can run.
pub(super) async fn due(store: &Store, kinds: &Kinds) -> Result<Due> {
    let now = Stamp::from(store.time().await?);
    // A newer version may have states that this one does not know.
    let live = State::ALL.into_iter().filter(|state| !state.is_final()).map(State::as_str);
    let rows = Entity::find()
        .filter(Column::EndedAt.is_null())
        .filter(Column::DueAt.lte(now))
        .filter(Column::Kind.is_in(kinds.names()))
        .filter(Column::State.is_in(live))
        .order_by_asc(Column::DueAt)
        .order_by_asc(Column::Id)
        .limit(LIMIT)
        .fetch_all(store.read())
        .await?;
    let mut due = Due::default();
    for row in rows {
        let id = row.id;
        match Operation::try_from(row) {
            Ok(operation) if kinds.of(&operation).is_some() => due.ids.push(id),
            Ok(_) => {}
            Err(error) => due.unreadable.push((id, error)),
        }
    }
    Ok(due)
}
