//! Revoked tokens, as the database keeps them.

use sea_orm::{
    ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter,
    sea_query::{Expr, OnConflict},
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::live_sessions;
use crate::{
    base::{Cx, Result},
    store::{
        Stamp, Store,
        entities::{accounts, revoked_tokens},
    },
};

/// The later of the end that is known and the one that is told, in the SQL of both databases.
const LATER_END: &str = "CASE WHEN excluded.expires_at > revoked_tokens.expires_at \
                         THEN excluded.expires_at ELSE revoked_tokens.expires_at END";

/// What was revoked, since some moment.
#[derive(Clone, Debug, Default)]
pub struct Revoked {
    /// Ids of tokens with their ends, in seconds since the epoch.
    pub tokens: Vec<(String, i64)>,
    /// Accounts with their epochs.
    pub accounts: Vec<(Uuid, i64)>,
    /// The latest moment among them.
    pub latest: Option<OffsetDateTime>,
}

/// Revokes a token that ends at `expires_at` by itself, and forgets the session that it may be. Revoked twice, it stays
/// revoked until the later of the two ends.
pub async fn revoke_token(store: &Store, cx: &Cx, jti: String, expires_at: OffsetDateTime) -> Result<()> {
    store
        .write(cx, "token.revoke", move |tx| {
            let row = revoked_tokens::Model {
                jti: jti.clone(),
                expires_at: expires_at.into(),
                revoked_at: Stamp::from(tx.now()),
            };
            Box::pin(async move {
                let jti = row.jti.clone();
                tx.audit(jti.clone());
                let twice = OnConflict::column(revoked_tokens::Column::Jti)
                    .value(revoked_tokens::Column::ExpiresAt, Expr::cust(LATER_END))
                    .update_column(revoked_tokens::Column::RevokedAt)
                    .to_owned();
                let insert = revoked_tokens::Entity::insert(row.into_active_model()).on_conflict(twice);
                insert.exec_without_returning(tx.conn()).await?;
                live_sessions::ended(tx, &jti).await
            })
        })
        .await
}

/// What was revoked at `since` or later; everything, without it.
pub async fn revoked_since(store: &Store, since: Option<OffsetDateTime>) -> Result<Revoked> {
    let since = Stamp::from(since.unwrap_or(OffsetDateTime::UNIX_EPOCH));
    let tokens =
        revoked_tokens::Entity::find().filter(revoked_tokens::Column::RevokedAt.gte(since)).all(store.read()).await?;
    let accounts = accounts::Entity::find()
        .filter(accounts::Column::EpochChangedAt.gte(since))
        .filter(accounts::Column::Epoch.gt(0))
        .all(store.read())
        .await?;
    let moments = tokens.iter().map(|token| token.revoked_at).chain(accounts.iter().map(|a| a.epoch_changed_at));
    Ok(Revoked {
        latest: moments.max().map(Stamp::time),
        tokens: tokens.into_iter().map(|t| (t.jti, t.expires_at.time().unix_timestamp())).collect(),
        accounts: accounts.into_iter().map(|account| (account.id, account.epoch)).collect(),
    })
}

/// Forgets revocations of tokens that ended before `before`.
pub async fn prune(store: &Store, before: OffsetDateTime) -> Result<u64> {
    store
        .maintain("token.prune", move |tx| {
            Box::pin(async move {
                let ended = revoked_tokens::Column::ExpiresAt.lt(Stamp::from(before));
                Ok(revoked_tokens::Entity::delete_many().filter(ended).exec(tx.conn()).await?.rows_affected)
            })
        })
        .await
}
