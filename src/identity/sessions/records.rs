//! Records of sessions, so that ending them can report their number, and so that those of an expired grant are found. They do not decide
//! whether a session is valid: its token, the epoch of its account and the list of revoked tokens do.

use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::identity::Account;
use crate::{
    base::{Error, Result},
    store::{
        Count, Exec, Fetch, Stamp, Store, Tx, delete_some,
        tables::login_sessions::{Column, Entity, Model},
    },
};

/// Records a session that started after its login was committed.
pub async fn began(store: &Store, account: &Account, token_id: &str, expires_at: OffsetDateTime) -> Result<()> {
    store.maintain("session.note", row(account, token_id, expires_at, None), insert).await
}

/// Records a session in the write of its login.
pub(in crate::identity) async fn note(
    tx: &Tx,
    account: &Account,
    token_id: &str,
    expires_at: OffsetDateTime,
) -> Result<()> {
    note_granted(tx, account, token_id, expires_at, None).await
}

/// Records a session in the write that starts it, under a grant that expires at `grant_ends`, if it does.
pub(in crate::identity) async fn note_granted(
    tx: &Tx,
    account: &Account,
    token_id: &str,
    expires_at: OffsetDateTime,
    grant_ends: Option<OffsetDateTime>,
) -> Result<()> {
    insert(tx, &row(account, token_id, expires_at, grant_ends)).await
}

fn row(account: &Account, token_id: &str, expires_at: OffsetDateTime, grant_ends: Option<OffsetDateTime>) -> Model {
    Model {
        token_id: token_id.to_owned(),
        account_id: account.id,
        epoch: account.epoch,
        expires_at: expires_at.into(),
        grant_expires_at: grant_ends.map(Stamp::from),
    }
}

/// Records that a session acts under a grant that expires.
pub(in crate::identity) async fn bind(store: &Store, token_id: &str, grant_ends: OffsetDateTime) -> Result<()> {
    store.maintain("session.bind", (token_id.to_owned(), Stamp::from(grant_ends)), bind_in).await
}

async fn bind_in(tx: &Tx, (token_id, grant_ends): &(String, Stamp)) -> Result<()> {
    let bind = Entity::update_many()
        .col_expr(Column::GrantExpiresAt, Expr::value(*grant_ends))
        .filter(Column::TokenId.eq(token_id.as_str()));
    match bind.run(tx.conn()).await? {
        1 => Ok(()),
        _ => Err(Error::internal("a session of a login was not recorded")),
    }
}

/// Whether there are sessions under grants that have expired at `now`, by the clock of the database.
pub(in crate::identity) async fn are_ungranted(store: &Store, now: Stamp) -> Result<bool> {
    let query = Entity::find().filter(Column::GrantExpiresAt.lte(now)).limit(1);
    Ok(query.fetch_one(store.read()).await?.is_some())
}

/// At most `most` of these sessions, locked.
pub(in crate::identity) async fn ungranted(tx: &Tx, now: Stamp, most: u64) -> Result<Vec<Model>> {
    let query = Entity::find().filter(Column::GrantExpiresAt.lte(now)).order_by_asc(Column::TokenId).limit(most);
    // SQLite has one writer and needs no lock; its dialect omits the clause.
    Ok(query.lock_exclusive().fetch_all(tx.conn()).await?)
}

async fn insert(tx: &Tx, row: &Model) -> Result<()> {
    Entity::insert(row.clone().into_active_model()).run(tx.conn()).await?;
    Ok(())
}

/// Deletes the sessions that expired before a time, at most `most`. Returns their number.
pub(in crate::identity) async fn prune(tx: &Tx, before: OffsetDateTime, most: u64) -> Result<u64> {
    let over = Column::ExpiresAt.lt(Stamp::from(before));
    let (delete, rows) = (Entity::delete_many().filter(over.clone()), Entity::find().filter(over));
    delete_some(tx.conn(), delete, rows, most).await
}

/// Deletes the session of a revoked token.
pub(in crate::identity) async fn ended(tx: &Tx, token_id: &str) -> Result<()> {
    Entity::delete_by_id(token_id).run(tx.conn()).await?;
    Ok(())
}

/// The number of active sessions of an account at this epoch.
pub(in crate::identity) async fn count(tx: &Tx, account: Uuid, epoch: i64) -> Result<u64> {
    let live = Entity::find()
        .filter(Column::AccountId.eq(account))
        .filter(Column::Epoch.eq(epoch))
        .filter(Column::ExpiresAt.gt(Stamp::from(tx.now())));
    Ok(live.fetch_count(tx.conn()).await?)
}
