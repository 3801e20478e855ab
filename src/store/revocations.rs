//! Revocations of credentials.
//!
//! Each has a revision, and a server asks for those after the revision up to which it knows all of them. This
//! does not depend on clocks. On SQLite the revision comes from a counter: transactions write one at a time, so
//! revisions become visible in order. On PostgreSQL it is the transaction id, and all revocations are known up
//! to the oldest transaction in progress: later commits have higher ids, and nothing has to wait. The process
//! that commits a revocation notifies its own listeners before it responds.

use std::sync::{Arc, PoisonError, RwLock};

use sea_orm::{ColumnTrait, DbBackend, DbErr, EntityTrait, QueryFilter, QueryTrait, Statement, sea_query::Expr};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Db, Fetch, Stamp, Store, Tuple,
    query::fetch_raw,
    submit,
    tables::{accounts, counters, revoked_tokens},
    time::NOW,
};
use crate::base::Result;

const COUNTER: &str = "revocations";
/// Takes the next revision from the counter on SQLite.
const NEXT: &str = "INSERT INTO counters (name, value) VALUES ($1, 1) \
    ON CONFLICT (name) DO UPDATE SET value = counters.value + 1 RETURNING value";
/// The revision of a PostgreSQL transaction.
const OWN: &str = "SELECT pg_current_xact_id()::text::bigint";
/// The last revision before all transactions that may still commit.
const SETTLED: &str = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1";
/// Maximum number of rows that one statement numbers.
const ROWS: usize = 1000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    Token {
        id: String,
        /// Expiry of the token, in seconds since the Unix epoch.
        expires_at: i64,
    },
    /// Revokes all tokens issued to an account in earlier epochs.
    Account {
        id: Uuid,
        /// The new epoch.
        epoch: i64,
    },
    ApiKey {
        id: Uuid,
    },
}

/// Listeners for revocations by this process.
#[derive(Default)]
pub(super) struct Listeners(RwLock<Vec<Arc<Listener>>>);

type Listener = dyn Fn(&[Revocation]) + Send + Sync;

impl Listeners {
    /// Notifies the listeners of committed revocations.
    pub fn notify(&self, revoked: &[Revocation]) {
        if revoked.is_empty() {
            return;
        }
        let listeners = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        listeners.iter().for_each(|listener| listener(revoked));
    }
}

impl Store {
    /// Registers a listener for revocations by this process. It is called after the commit and before the response.
    pub fn on_revocation(&self, listener: impl Fn(&[Revocation]) + Send + Sync + 'static) {
        self.0.observers.revoked.0.write().unwrap_or_else(PoisonError::into_inner).push(Arc::new(listener));
    }

    /// The last revision up to which no more revocations can appear, 0 before the first; and the time as
    /// [`Store::time`] returns it.
    pub async fn settled_revision(&self) -> Result<(i64, OffsetDateTime)> {
        if self.backend() == DbBackend::Postgres {
            let query = Statement::from_string(DbBackend::Postgres, format!("SELECT {SETTLED}, {NOW}"));
            let (revision, now): (i64, Stamp) = one_row(self.read(), query).await?;
            return Ok((revision, now.time()));
        }
        let row = counters::Entity::find_by_id(COUNTER).fetch_one(self.read()).await?;
        Ok((row.map_or(0, |row| row.value), self.clock().now()))
    }
}

/// Numbers the revocations of a transaction, inside it.
pub(super) async fn number(conn: &impl Db, revoked: impl Iterator<Item = &Revocation>) -> Result<(), DbErr> {
    let (mut tokens, mut epochs) = (Vec::new(), Vec::new());
    for revocation in revoked {
        match revocation {
            Revocation::Token { id, .. } => tokens.push(id.as_str()),
            Revocation::Account { id, .. } => epochs.push(*id),
            // API keys need no revision: they are looked up again within the permitted delay.
            Revocation::ApiKey { .. } => {}
        }
    }
    if tokens.is_empty() && epochs.is_empty() {
        return Ok(());
    }
    let backend = conn.backend();
    let next = match backend {
        DbBackend::Postgres => Statement::from_string(backend, OWN),
        _ => Statement::from_sql_and_values(backend, NEXT, [COUNTER.into()]),
    };
    let revision: i64 = one_row(conn, next).await?;
    for ids in tokens.chunks(ROWS) {
        let rows = revoked_tokens::Entity::update_many().filter(revoked_tokens::Column::Jti.is_in(ids.iter().copied()));
        let rows = rows.col_expr(revoked_tokens::Column::Revision, Expr::value(revision));
        submit(conn, rows.build(backend)).await?;
    }
    for ids in epochs.chunks(ROWS) {
        let rows = accounts::Entity::update_many().filter(accounts::Column::Id.is_in(ids.iter().copied()));
        let rows = rows.col_expr(accounts::Column::EpochRevision, Expr::value(revision));
        submit(conn, rows.build(backend)).await?;
    }
    Ok(())
}

async fn one_row<T: Tuple>(conn: &impl Db, statement: Statement) -> Result<T, DbErr> {
    fetch_raw(conn, statement).await?.ok_or_else(|| DbErr::RecordNotFound(COUNTER.to_owned()))
}
