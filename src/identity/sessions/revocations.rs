//! Revoked tokens in the database.

use sea_orm::{
    ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect,
    sea_query::{Expr, OnConflict},
};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::records;
use crate::{
    base::{Cx, Result},
    store::{
        Change, ChangeKind, Exec, Fetch, Resource, Revocation, Stamp, Store, Tx, delete_some,
        tables::{accounts, revoked_tokens},
    },
};

/// The later of the stored expiry and the new one, in SQL that both databases understand.
const LATER_END: &str = "CASE WHEN excluded.expires_at > revoked_tokens.expires_at \
                         THEN excluded.expires_at ELSE revoked_tokens.expires_at END";

/// Revocations that a server did not know yet.
#[derive(Clone, Debug)]
pub struct Revoked {
    /// Token ids with their expiry, in seconds since the Unix epoch.
    pub tokens: Vec<(String, i64)>,
    /// Accounts with their epochs.
    pub accounts: Vec<(Uuid, i64)>,
    /// The position up to which all revocations are known. `tokens` and `accounts` may include later ones.
    pub seen: Seen,
    /// The database's current time.
    pub now: OffsetDateTime,
}

/// A position in the list of revocations: the server knows all of them up to the last settled one. That one is
/// remembered to detect a database with a different history, such as a standby that was promoted before it had
/// replicated everything: it can assign the same revisions again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    revision: i64,
    last: Option<Last>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Last {
    Token(String),
    Account(Uuid),
}

/// Revokes a token that expires at `expires_at` and deletes its session. If it is revoked twice, the later
/// expiry is kept.
pub async fn revoke_token(store: &Store, cx: &Cx, jti: String, expires_at: OffsetDateTime) -> Result<()> {
    store.write(cx, (jti, expires_at), revoke).await
}

/// [`revoke_token`] inside a write.
pub(in crate::identity) async fn revoke(tx: &Tx, (jti, expires_at): &(String, OffsetDateTime)) -> Result<()> {
    let row = revoked_tokens::Model {
        jti: jti.clone(),
        expires_at: (*expires_at).into(),
        revoked_at: Stamp::from(tx.now()),
        revision: 0,
    };
    let twice = OnConflict::column(revoked_tokens::Column::Jti)
        .value(revoked_tokens::Column::ExpiresAt, Expr::cust(LATER_END))
        .update_column(revoked_tokens::Column::RevokedAt)
        .to_owned();
    let insert = revoked_tokens::Entity::insert(row.into_active_model()).on_conflict(twice);
    insert.run(tx.conn()).await?;
    tx.revoke(Revocation::Token { id: jti.clone(), expires_at: expires_at.unix_timestamp() });
    tx.changed(Change::new(Resource::Token, ChangeKind::Revoked, jti), jti, Value::Null);
    records::ended(tx, jti).await
}

/// The revocations after a position; all of them without a position, or if the database has a different
/// history. The settled revision is read first: what commits in the meantime is found by the next call, or by
/// both.
pub async fn revoked_after(store: &Store, seen: Option<&Seen>) -> Result<Revoked> {
    let (settled, now) = store.settled_revision().await?;
    if let Some(seen) = seen.filter(|seen| seen.revision <= settled) {
        let rows = Rows::after(store, seen.revision).await?;
        // After reading the rows, so that they are known to be from the same history.
        if seen.is_there(store).await? {
            return Ok(rows.revoked(seen.clone(), settled, now));
        }
    }
    // Rows from before revisions were introduced have none.
    Ok(Rows::after(store, -1).await?.revoked(Seen::default(), settled, now))
}

struct Rows {
    tokens: Vec<revoked_tokens::Model>,
    /// Accounts with their epochs, and the revisions of these.
    accounts: Vec<(Uuid, i64, i64)>,
}

impl Rows {
    async fn after(store: &Store, revision: i64) -> Result<Self> {
        let tokens = revoked_tokens::Entity::find().filter(revoked_tokens::Column::Revision.gt(revision));
        let accounts = accounts::Entity::find()
            .select_only()
            .columns([accounts::Column::Id, accounts::Column::Epoch, accounts::Column::EpochRevision])
            .filter(accounts::Column::EpochRevision.gt(revision))
            .filter(accounts::Column::Epoch.gt(0));
        let (tokens, accounts) =
            (tokens.fetch_all(store.read()).await?, accounts.into_tuple().fetch_all(store.read()).await?);
        Ok(Self { tokens, accounts })
    }

    /// Completes the rows with the new position.
    fn revoked(self, before: Seen, settled: i64, now: OffsetDateTime) -> Revoked {
        let tokens = self.tokens.iter().map(|row| (row.revision, Last::Token(row.jti.clone())));
        let accounts = self.accounts.iter().map(|(id, _, revision)| (*revision, Last::Account(*id)));
        let settled = tokens.chain(accounts).filter(|(revision, _)| (before.revision + 1..=settled).contains(revision));
        let last = settled.max_by_key(|(revision, _)| *revision);
        Revoked {
            seen: last.map_or(before, |(revision, last)| Seen { revision, last: Some(last) }),
            tokens: self.tokens.into_iter().map(|t| (t.jti, t.expires_at.time().unix_timestamp())).collect(),
            accounts: self.accounts.into_iter().map(|(id, epoch, _)| (id, epoch)).collect(),
            now,
        }
    }
}

impl Seen {
    /// Whether the database still has the last revocation, or a later one in its row. A pruned one is missing too;
    /// then everything is read once.
    async fn is_there(&self, store: &Store) -> Result<bool> {
        let revision = match &self.last {
            None => return Ok(true),
            Some(Last::Token(jti)) => {
                revoked_tokens::Entity::find_by_id(jti).fetch_one(store.read()).await?.map(|row| row.revision)
            }
            Some(Last::Account(id)) => {
                let row = accounts::Entity::find_by_id(*id).select_only().column(accounts::Column::EpochRevision);
                row.into_tuple().fetch_one(store.read()).await?
            }
        };
        Ok(revision.is_some_and(|revision| revision >= self.revision))
    }
}

/// Deletes the revocations of tokens, and the sessions, that expired before `before`, at most `most` of each. Returns
/// their number.
pub async fn prune(store: &Store, before: OffsetDateTime, most: u64) -> Result<u64> {
    store.maintain("token.prune", (before, most), prune_in).await
}

async fn prune_in(tx: &Tx, (before, most): &(OffsetDateTime, u64)) -> Result<u64> {
    let sessions = records::prune(tx, *before, *most).await?;
    let ended = revoked_tokens::Column::ExpiresAt.lt(Stamp::from(*before));
    let rows = revoked_tokens::Entity::find().filter(ended.clone());
    let delete = revoked_tokens::Entity::delete_many().filter(ended);
    Ok(sessions + delete_some(tx.conn(), delete, rows, *most).await?)
}
