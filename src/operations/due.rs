//! Which operations are due.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::{Kinds, Operation, State};
use crate::{
    base::{Error, Result},
    store::{
        Stamp, Store,
        entities::operations::{Column, Entity},
    },
};

/// Most operations of one look. It is more than a few servers run, because those that they run are due too.
const MOST: u64 = 256;

/// The operations that are due.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Those that a server can run, those that wait for the longest time first. Some may be running on other servers.
    pub ids: Vec<Uuid>,
    /// Those whose rows cannot be read. They are left alone, so that the others run.
    pub unreadable: Vec<(Uuid, Error)>,
}

/// The operations that are due for a server of these kinds.
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
        .limit(MOST)
        .all(store.read())
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
