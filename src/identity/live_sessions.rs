//! Which sessions began with a login, so that whoever ends them can tell how many there were. Whether a session is good is
//! not decided here: its token says that, with the epoch of its account and the list of revoked tokens.

use sea_orm::{ColumnTrait, EntityTrait, ExprTrait, IntoActiveModel, PaginatorTrait, QueryFilter};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Account;
use crate::{
    base::Result,
    store::{
        Stamp, Store, Tx,
        entities::login_sessions::{Column, Entity, Model},
    },
};

/// Notes a session of an account, and forgets those of its sessions that have ended.
pub async fn began(store: &Store, account: &Account, token_id: &str, expires_at: OffsetDateTime) -> Result<()> {
    let row = Model {
        token_id: token_id.to_owned(),
        account_id: account.id,
        epoch: account.epoch,
        expires_at: expires_at.into(),
    };
    store.maintain("session.note", row, note).await
}

async fn note(tx: &Tx, row: &Model) -> Result<()> {
    let over = Column::ExpiresAt.lte(Stamp::from(tx.now())).or(Column::Epoch.lt(row.epoch));
    Entity::delete_many().filter(Column::AccountId.eq(row.account_id)).filter(over).exec(tx.conn()).await?;
    Entity::insert(row.clone().into_active_model()).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// Forgets a session whose token is revoked.
pub(super) async fn ended(tx: &Tx, token_id: &str) -> Result<()> {
    Entity::delete_by_id(token_id).exec(tx.conn()).await?;
    Ok(())
}

/// How many sessions an account of this epoch has.
pub(super) async fn count(tx: &Tx, account: Uuid, epoch: i64) -> Result<u64> {
    let live = Entity::find()
        .filter(Column::AccountId.eq(account))
        .filter(Column::Epoch.eq(epoch))
        .filter(Column::ExpiresAt.gt(Stamp::from(tx.now())));
    Ok(live.count(tx.conn()).await?)
}
