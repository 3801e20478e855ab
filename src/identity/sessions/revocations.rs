//! Revoked tokens, as the database keeps them.

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
        Change, ChangeKind, Resource, Revocation, Stamp, Store, Tx,
        entities::{accounts, revoked_tokens},
    },
};

/// The later of the end that is known and the one that is told, in the SQL of both databases.
const LATER_END: &str = "CASE WHEN excluded.expires_at > revoked_tokens.expires_at \
                         THEN excluded.expires_at ELSE revoked_tokens.expires_at END";

/// What was revoked, as far as somebody did not know it.
#[derive(Clone, Debug)]
pub struct Revoked {
    /// Ids of tokens with their ends, in seconds since the epoch.
    pub tokens: Vec<(String, i64)>,
    /// Accounts with their epochs.
    pub accounts: Vec<(Uuid, i64)>,
    /// How far all is known with this. There may be more of what came later.
    pub seen: Seen,
    /// The time by the clock of the database.
    pub now: OffsetDateTime,
}

/// How far somebody knows what was revoked: all of it up to the last revocation that had settled. What that one was is
/// remembered, for a database that lacks it has another past, as a standby has that took over before it got all: there
/// the same revisions may be given again.
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

/// Revokes a token that ends at `expires_at` by itself, and forgets the session that it may be. Revoked twice, it stays
/// revoked until the later of the two ends.
pub async fn revoke_token(store: &Store, cx: &Cx, jti: String, expires_at: OffsetDateTime) -> Result<()> {
    store.write(cx, (jti, expires_at), revoke).await
}

async fn revoke(tx: &Tx, (jti, expires_at): &(String, OffsetDateTime)) -> Result<()> {
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
    insert.exec_without_returning(tx.conn()).await?;
    tx.revoke(Revocation::Token { id: jti.clone(), expires_at: expires_at.unix_timestamp() });
    tx.changed(Change::new(Resource::Token, ChangeKind::Revoked, jti), jti, Value::Null);
    records::ended(tx, jti).await
}

/// What was revoked since somebody looked; everything, if they did not, or if the database has another past than what they
/// saw. What has settled is asked first: what commits meanwhile is found by the next reading, or by both.
pub async fn revoked_after(store: &Store, seen: Option<&Seen>) -> Result<Revoked> {
    let (settled, now) = store.settled_revision().await?;
    if let Some(seen) = seen.filter(|seen| seen.revision <= settled) {
        let rows = Rows::after(store, seen.revision).await?;
        // After the rows, which are those of this past, then.
        if seen.is_there(store).await? {
            return Ok(rows.revoked(seen.clone(), settled, now));
        }
    }
    // What was revoked before there were revisions has none.
    Ok(Rows::after(store, -1).await?.revoked(Seen::default(), settled, now))
}

/// The rows of revocations.
struct Rows {
    tokens: Vec<revoked_tokens::Model>,
    /// Accounts with their epochs and the revisions of those.
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
        let (tokens, accounts) = (tokens.all(store.read()).await?, accounts.into_tuple().all(store.read()).await?);
        Ok(Self { tokens, accounts })
    }

    /// All of it, for somebody who knows what was revoked before.
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
    /// Whether the database still has the last revocation, or a later one in its row. One that was forgotten is missing too:
    /// then everything is read for once.
    async fn is_there(&self, store: &Store) -> Result<bool> {
        let revision = match &self.last {
            None => return Ok(true),
            Some(Last::Token(jti)) => {
                revoked_tokens::Entity::find_by_id(jti).one(store.read()).await?.map(|row| row.revision)
            }
            Some(Last::Account(id)) => {
                let row = accounts::Entity::find_by_id(*id).select_only().column(accounts::Column::EpochRevision);
                row.into_tuple().one(store.read()).await?
            }
        };
        Ok(revision.is_some_and(|revision| revision >= self.revision))
    }
}

/// Forgets revocations of tokens, and sessions, that ended before `before`. How many revocations.
pub async fn prune(store: &Store, before: OffsetDateTime) -> Result<u64> {
    store.maintain("token.prune", before, prune_in).await
}

async fn prune_in(tx: &Tx, before: &OffsetDateTime) -> Result<u64> {
    records::prune(tx, *before).await?;
    let ended = revoked_tokens::Column::ExpiresAt.lt(Stamp::from(*before));
    Ok(revoked_tokens::Entity::delete_many().filter(ended).exec(tx.conn()).await?.rows_affected)
}
