//! Which sessions began with a login, so that whoever ends them can tell how many there were. Whether a session is good is
//! not decided here: its token says that, with the epoch of its account and the list of revoked tokens.

use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::identity::Account;
use crate::{
    base::Result,
    store::{
        Stamp, Store, Tx,
        entities::login_sessions::{Column, Entity, Model},
    },
};

/// Notes a session of an account that began after its login.
pub async fn began(store: &Store, account: &Account, token_id: &str, expires_at: OffsetDateTime) -> Result<()> {
    store.maintain("session.note", row(account, token_id, expires_at), insert).await
}

/// Notes a session of an account, in the write of its login.
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
    Entity::insert(row.clone().into_active_model()).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// Forgets the sessions that ended by themselves before a moment.
pub(in crate::identity) async fn prune(tx: &Tx, before: OffsetDateTime) -> Result<()> {
    Entity::delete_many().filter(Column::ExpiresAt.lt(Stamp::from(before))).exec(tx.conn()).await?;
    Ok(())
}

/// Forgets a session whose token is revoked.
pub(in crate::identity) async fn ended(tx: &Tx, token_id: &str) -> Result<()> {
    Entity::delete_by_id(token_id).exec(tx.conn()).await?;
    Ok(())
}

/// How many sessions an account of this epoch has.
pub(in crate::identity) async fn count(tx: &Tx, account: Uuid, epoch: i64) -> Result<u64> {
    let live = Entity::find()
        .filter(Column::AccountId.eq(account))
        .filter(Column::Epoch.eq(epoch))
        .filter(Column::ExpiresAt.gt(Stamp::from(tx.now())));
    Ok(live.count(tx.conn()).await?)
}
