//! Answers that were given under an `Idempotency-Key`: who claims a key first makes the call, and whoever comes with it
//! later gets the same answer.

use std::time::Duration;

use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, sea_query::Expr, sea_query::OnConflict};
use time::OffsetDateTime;

use super::{
    Stamp, Store, Tx,
    entities::idempotent_answers::{Column, Entity, Model},
};
use crate::base::Result;

/// How long a key is remembered after its first use (zero-trust contract, section 2).
pub const KEPT: Duration = Duration::from_secs(24 * 3600);

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The key was free: the call is the claimant's to make.
    First,
    /// The key stands for another request.
    Other,
    /// The same request was answered so; sealed.
    Answered(String),
    /// The same request was begun then, and has no answer.
    Begun(OffsetDateTime),
}

/// Claims a key for a request. `id` is the digest of whose key it is and for what.
pub async fn claim(store: &Store, id: &str, request_hash: &str) -> Result<Claim> {
    let (id, request_hash) = (id.to_owned(), request_hash.to_owned());
    store
        .maintain("idempotency.claim", move |tx| {
            let expires_at = Stamp::from(tx.now() + KEPT);
            let row = Model { id: id.clone(), request_hash: request_hash.clone(), answer: None, expires_at };
            Box::pin(async move { claim_in(tx, row).await })
        })
        .await
}

async fn claim_in(tx: &Tx, row: Model) -> Result<Claim> {
    let (id, request_hash) = (row.id.clone(), row.request_hash.clone());
    let over = Entity::delete_many().filter(Column::Id.eq(&id)).filter(Column::ExpiresAt.lte(Stamp::from(tx.now())));
    over.exec(tx.conn()).await?;
    let taken = OnConflict::column(Column::Id).do_nothing().to_owned();
    let insert = Entity::insert(row.into_active_model()).on_conflict(taken);
    if insert.exec_without_returning(tx.conn()).await? == 1 {
        return Ok(Claim::First);
    }
    Ok(match Entity::find_by_id(id).one(tx.conn()).await? {
        Some(row) if row.request_hash != request_hash => Claim::Other,
        Some(Model { answer: Some(answer), .. }) => Claim::Answered(answer),
        Some(row) => Claim::Begun(row.expires_at.time() - KEPT),
        // Given back at this very moment; whoever claims again may have it.
        None => Claim::Begun(tx.now()),
    })
}

/// Keeps the sealed answer of a call that was claimed.
pub async fn keep(store: &Store, id: &str, answer: String) -> Result<()> {
    let id = id.to_owned();
    store
        .maintain("idempotency.keep", move |tx| {
            let keep = begun(Entity::update_many(), &id).col_expr(Column::Answer, Expr::value(answer.as_str()));
            Box::pin(async move { Ok(keep.exec(tx.conn()).await.map(drop)?) })
        })
        .await
}

/// Gives back a key whose call came to nothing, so that it may be tried again.
pub async fn release(store: &Store, id: &str) -> Result<()> {
    let id = id.to_owned();
    store
        .maintain("idempotency.release", move |tx| {
            let gone = begun(Entity::delete_many(), &id);
            Box::pin(async move { Ok(gone.exec(tx.conn()).await.map(drop)?) })
        })
        .await
}

/// Forgets the keys whose time is over, and tells how many.
pub async fn prune(store: &Store) -> Result<u64> {
    store
        .maintain("idempotency.prune", |tx| {
            let over = Entity::delete_many().filter(Column::ExpiresAt.lte(Stamp::from(tx.now())));
            Box::pin(async move { Ok(over.exec(tx.conn()).await?.rows_affected) })
        })
        .await
}

/// Narrows a statement to a call without an answer.
fn begun<Q: QueryFilter>(statement: Q, id: &str) -> Q {
    statement.filter(Column::Id.eq(id)).filter(Column::Answer.is_null())
}
