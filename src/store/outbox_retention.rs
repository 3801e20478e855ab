//! How long events stay in the outbox.
//!
//! Whoever follows the outbox may go on where it was for as long as the retention. That is by the clock of the database and
//! not by the times in the events, which are of the clocks of their writers: the pruning notes from time to time how far the
//! outbox is numbered, and deletes what had been numbered by the last mark that is old enough. Events without a revision are
//! never deleted, as the relay has yet to number them, nor is the newest one, from which the numbering goes on. What is
//! deleted is always the oldest part, and how far that goes is remembered.

use std::time::Duration;

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::OnConflict,
};
use time::OffsetDateTime;

use super::{
    Stamp, Store, Tx,
    entities::{counters, outbox, outbox_marks},
    heads,
};
use crate::base::Result;

/// Name of the counter that tells up to which revision events were deleted.
const PRUNED: &str = "outbox_pruned";

/// What a run of the pruning did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Events that were deleted.
    pub events: u64,
    /// Whether more are old enough.
    pub more: bool,
}

/// The revision up to which events were deleted, 0 before the first. Nobody can go on from below it.
pub async fn pruned_through(store: &Store) -> Result<i64> {
    Ok(counter(store.read()).await?)
}

/// Deletes events that had been numbered for longer than `retention`, at most `most` revisions of them.
pub async fn prune(tx: &Tx, retention: Duration, most: u32) -> Result<Pruned> {
    let (conn, now) = (tx.conn(), tx.time().await?);
    let newest = heads::revision(conn).await?;
    mark(conn, newest, now).await?;
    let (done, old) = (counter(conn).await?, old(conn, now - retention).await?);
    let last = old.min(newest - 1);
    let through = last.min(done + i64::from(most));
    if through <= done {
        return Ok(Pruned::default());
    }
    let deleted = outbox::Entity::delete_many().filter(outbox::Column::Revision.lte(through)).exec(conn).await?;
    outbox_marks::Entity::delete_many().filter(outbox_marks::Column::Revision.lt(through)).exec(conn).await?;
    let counter = counters::ActiveModel { name: Set(PRUNED.to_owned()), value: Set(through) };
    let later = OnConflict::column(counters::Column::Name).update_column(counters::Column::Value).to_owned();
    counters::Entity::insert(counter).on_conflict(later).exec_without_returning(conn).await?;
    Ok(Pruned { events: deleted.rows_affected, more: through < last })
}

/// Notes that this is the newest revision now, unless it was before.
async fn mark(conn: &impl ConnectionTrait, newest: i64, now: OffsetDateTime) -> Result<(), DbErr> {
    if newest == 0 {
        return Ok(());
    }
    let mark = outbox_marks::ActiveModel { revision: Set(newest), at: Set(Stamp::from(now)) };
    let known = OnConflict::column(outbox_marks::Column::Revision).do_nothing().to_owned();
    outbox_marks::Entity::insert(mark).on_conflict(known).exec_without_returning(conn).await?;
    Ok(())
}

/// The newest revision that was there at a time; 0 if none is known.
async fn old(conn: &impl ConnectionTrait, at: OffsetDateTime) -> Result<i64, DbErr> {
    let mark = outbox_marks::Entity::find()
        .filter(outbox_marks::Column::At.lte(Stamp::from(at)))
        .order_by_desc(outbox_marks::Column::Revision)
        .limit(1)
        .one(conn)
        .await?;
    Ok(mark.map_or(0, |mark| mark.revision))
}

async fn counter(conn: &impl ConnectionTrait) -> Result<i64, DbErr> {
    Ok(counters::Entity::find_by_id(PRUNED).one(conn).await?.map_or(0, |row| row.value))
}
