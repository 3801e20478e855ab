//! Records of sessions, so that ending them can report their number. They do not decide whether a session is
//! valid: its token, the epoch of its account and the list of revoked tokens do.

use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::identity::Account;
use crate::{
    base::Result,
    store::{
        Count, Exec, Stamp, Store, Tx, delete_some,
        tables::login_sessions::{Column, Entity, Model},
    },
};

/// Records a session that started after its login was committed.
pub async fn began(store: &Store, account: &Account, token_id: &str, expires_at: OffsetDateTime) -> Result<()> {
    store.maintain("session.note", row(account, token_id, expires_at), insert).await
}

/// Records a session in the write of its login.
pub(in crate::identity) async fn note(
    tx: &Tx,
    account: &Account,
    token_id: &str,
    expires_at: OffsetDateTime,
) -> Result<()> {
    insert(tx, &row(account, token_id, expires_at)).await
}

fn row(account: &Account, token_id: &str, expires_at: OffsetDateTime) -> Model {
    let (token_id, expires_at) = (token_id.to_owned(), expires_at.into());
    Model { token_id, account_id: account.id, epoch: account.epoch, expires_at }
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
