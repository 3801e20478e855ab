//! Retention of outbox events.
//!
//! A consumer of the outbox can resume for the whole retention period. The age of an event is measured by the
//! database's clock, not by its `created_at`, which comes from the clock of its writer: each pruning records
//! the newest revision with the time (`outbox_marks`), and deletes up to the newest recorded revision that is
//! old enough. Events without a revision are never deleted, because the relay has not numbered them yet, and
//! neither is the newest event, from which the numbering continues. The deleted events are always a prefix of
//! the outbox, whose end is recorded.

use std::time::Duration;

use sea_orm::{
    ActiveValue::Set, ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::OnConflict,
};
use time::OffsetDateTime;

use super::{
    Db, Exec, Fetch, Stamp, Store, Tx, sequence,
    tables::{counters, outbox, outbox_marks},
};
use crate::base::Result;

/// The counter that holds the highest deleted revision.
const PRUNED: &str = "outbox_pruned";

/// The result of a pruning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Deleted events.
    pub events: u64,
    /// Whether more are old enough.
    pub more: bool,
}

/// The highest deleted revision; 0 if none is deleted. Consumers cannot resume from an earlier one.
pub async fn pruned_through(store: &Store) -> Result<i64> {
    Ok(counter(store.read()).await?)
}

/// Deletes events that were numbered longer ago than `retention`, at most `most`.
pub async fn prune(tx: &Tx, retention: Duration, most: u32) -> Result<Pruned> {
    let (conn, now) = (tx.conn(), tx.time().await?);
    let newest = sequence::revision(conn).await?;
    mark(conn, newest, now).await?;
    let (done, old) = (counter(conn).await?, old(conn, now - retention).await?);
    let last = old.min(newest - 1);
    let through = last.min(done + i64::from(most));
    if through <= done {
        return Ok(Pruned::default());
    }
    let deleted = outbox::Entity::delete_many().filter(outbox::Column::Revision.lte(through)).run(conn).await?;
    outbox_marks::Entity::delete_many().filter(outbox_marks::Column::Revision.lt(through)).run(conn).await?;
    let counter = counters::ActiveModel { name: Set(PRUNED.to_owned()), value: Set(through) };
    let later = OnConflict::column(counters::Column::Name).update_column(counters::Column::Value).to_owned();
    counters::Entity::insert(counter).on_conflict(later).run(conn).await?;
    Ok(Pruned { events: deleted, more: through < last })
}

/// Records the newest revision with the time, unless it is recorded already.
async fn mark(conn: &impl Db, newest: i64, now: OffsetDateTime) -> Result<(), DbErr> {
    if newest == 0 {
        return Ok(());
    }
    let mark = outbox_marks::ActiveModel { revision: Set(newest), at: Set(Stamp::from(now)) };
    let known = OnConflict::column(outbox_marks::Column::Revision).do_nothing().to_owned();
    outbox_marks::Entity::insert(mark).on_conflict(known).run(conn).await?;
    Ok(())
}

/// The newest recorded revision at a time; 0 if there is none.
async fn old(conn: &impl Db, at: OffsetDateTime) -> Result<i64, DbErr> {
    let mark = outbox_marks::Entity::find()
        .filter(outbox_marks::Column::At.lte(Stamp::from(at)))
        .order_by_desc(outbox_marks::Column::Revision)
        .limit(1)
        .fetch_one(conn)
        .await?;
    Ok(mark.map_or(0, |mark| mark.revision))
}

async fn counter(conn: &impl Db) -> Result<i64, DbErr> {
    Ok(counters::Entity::find_by_id(PRUNED).fetch_one(conn).await?.map_or(0, |row| row.value))
}
