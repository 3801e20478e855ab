//! Calls with an `Idempotency-Key`: which of them took effect, and their responses.
//!
//! Each key whose call wrote something has a row. The row is inserted in the transaction of the call's first
//! write, so the effect and the row exist together or not at all, however the call ends; the primary key
//! refuses a second call. The response is stored later. A call that wrote nothing has no row until then.

use std::time::Duration;

use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, sea_query::Expr, sea_query::OnConflict};

use crate::base::{Error, KeyedCall, Kind, Result, error::Reason};
use crate::store::{
    Exec, Fetch, Stamp, Store, Tx, delete_some,
    tables::idempotent_answers::{Column, Entity, Model},
};

/// How long a key is remembered after its first use (zero-trust contract, section 2).
pub const KEPT: Duration = Duration::from_secs(24 * 3600);

/// What is known about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// No call with the key took effect.
    Nothing,
    /// The key belongs to a different request.
    Other,
    /// A server of an older version made a call with the key. It cannot be known whether it was the same request.
    Older,
    /// The same request took effect; its sealed response.
    Answered(String),
    /// The same request took effect this long ago, and its response is not stored.
    Unanswered(time::Duration),
}

/// Looks up a call that took effect under the key.
pub async fn look(store: &Store, call: &KeyedCall) -> Result<Known> {
    let row = Entity::find_by_id(call.id()).fetch_one(store.read()).await?;
    let Some(row) = row else { return Ok(Known::Nothing) };
    // By the database's time: a server whose clock is ahead would consider keys expired too early and execute a
    // call twice.
    let now = store.time().await?;
    Ok(match row {
        row if row.expires_at <= Stamp::from(now) => Known::Nothing,
        row if KeyedCall::is_older(&row.request_hash) => Known::Older,
        row if row.request_hash != call.request_hash() => Known::Other,
        Model { answer: Some(answer), .. } => Known::Answered(answer),
        row => Known::Unanswered(now - (row.expires_at.time() - KEPT)),
    })
}

/// Claims the key of the call that writes, unless an earlier write of the same call did. Fails with ABORTED if
/// another call took effect under the key; the layer that responds to the call then looks that one up.
pub(super) async fn claim(tx: &Tx) -> Result<()> {
    let Some(call) = tx.cx().keyed.as_ref().filter(|call| !call.has_written()) else { return Ok(()) };
    if insert(tx, call, None).await? {
        return Ok(());
    }
    let text = "another request with this Idempotency-Key took effect";
    Err(Error::new(Kind::Aborted, Reason::IdempotentCallBegun, text))
}

/// Stores the sealed response of a call. For a call that wrote nothing, this creates the row.
pub async fn keep(store: &Store, call: &KeyedCall, answer: String) -> Result<()> {
    store.maintain("idempotency.keep", (call.clone(), answer), keep_in).await
}

async fn keep_in(tx: &Tx, (call, answer): &(KeyedCall, String)) -> Result<()> {
    if !call.has_written() {
        return insert(tx, call, Some(answer.clone())).await.map(drop);
    }
    let unanswered = Entity::update_many().filter(Column::Id.eq(call.id())).filter(Column::Answer.is_null());
    let keep = unanswered.col_expr(Column::Answer, Expr::value(answer.as_str()));
    Ok(keep.run(tx.conn()).await.map(drop)?)
}

/// Inserts the row of a call, unless there is one.
async fn insert(tx: &Tx, call: &KeyedCall, answer: Option<String>) -> Result<bool> {
    let over = Entity::delete_many().filter(Column::Id.eq(call.id()));
    let now = tx.time().await?;
    over.filter(Column::ExpiresAt.lte(Stamp::from(now))).run(tx.conn()).await?;
    let row = Model {
        id: call.id().to_owned(),
        request_hash: call.request_hash().to_owned(),
        answer,
        expires_at: Stamp::from(now + KEPT),
    };
    let taken = OnConflict::column(Column::Id).do_nothing().to_owned();
    let insert = Entity::insert(row.into_active_model()).on_conflict(taken);
    Ok(insert.run(tx.conn()).await? == 1)
}

/// Deletes expired keys, at most `most`. Returns their number.
pub async fn prune(store: &Store, most: u64) -> Result<u64> {
    store.maintain("idempotency.prune", most, prune_in).await
}

async fn prune_in(tx: &Tx, most: &u64) -> Result<u64> {
    let over = Column::ExpiresAt.lte(Stamp::from(tx.time().await?));
    let (delete, rows) = (Entity::delete_many().filter(over.clone()), Entity::find().filter(over));
    delete_some(tx.conn(), delete, rows, *most).await
}
