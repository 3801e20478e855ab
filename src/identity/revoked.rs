//! Revoked tokens, as the database keeps them.

use sea_orm::{
    ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect,
    sea_query::{Expr, OnConflict},
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::live_sessions;
use crate::{
    base::{Cx, Result},
    store::{
        Revocation, Stamp, Store,
        entities::{accounts, revoked_tokens},
    },
};

/// The later of the end that is known and the one that is told, in the SQL of both databases.
const LATER_END: &str = "CASE WHEN excluded.expires_at > revoked_tokens.expires_at \
                         THEN excluded.expires_at ELSE revoked_tokens.expires_at END";

/// What was revoked, after some revision.
#[derive(Clone, Debug, Default)]
pub struct Revoked {
    /// Ids of tokens with their ends, in seconds since the epoch.
    pub tokens: Vec<(String, i64)>,
    /// Accounts with their epochs.
    pub accounts: Vec<(Uuid, i64)>,
    /// The last revision of which all is here. There may be more of later ones.
    pub revision: i64,
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
                revision: 0,
            };
            Box::pin(async move {
                let jti = row.jti.clone();
                tx.audit(jti.clone());
                let twice = OnConflict::column(revoked_tokens::Column::Jti)
                    .value(revoked_tokens::Column::ExpiresAt, Expr::cust(LATER_END))
                    .update_column(revoked_tokens::Column::RevokedAt)
                    .to_owned();
                let insert = revoked_tokens::Entity::insert(row.clone().into_active_model()).on_conflict(twice);
                insert.exec_without_returning(tx.conn()).await?;
                tx.revoke(Revocation::Token { id: row.jti, expires_at: expires_at.unix_timestamp() });
                live_sessions::ended(tx, &jti).await
            })
        })
        .await
}

/// What was revoked after a revision; everything, without it. The last revision is asked first: what commits meanwhile is
/// found by the next reading, or by both.
pub async fn revoked_after(store: &Store, revision: Option<i64>) -> Result<Revoked> {
    let last = store.settled_revision().await?;
    // What was revoked before there were revisions has none.
    let after = revision.unwrap_or(-1);
    let tokens = revoked_tokens::Entity::find().filter(revoked_tokens::Column::Revision.gt(after));
    let accounts = accounts::Entity::find().select_only().column(accounts::Column::Id).column(accounts::Column::Epoch);
    let accounts = accounts.filter(accounts::Column::EpochRevision.gt(after)).filter(accounts::Column::Epoch.gt(0));
    let tokens = tokens.all(store.read()).await?;
    Ok(Revoked {
        tokens: tokens.into_iter().map(|t| (t.jti, t.expires_at.time().unix_timestamp())).collect(),
        accounts: accounts.into_tuple().all(store.read()).await?,
        revision: last,
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
