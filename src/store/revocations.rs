//! Revocations: what somebody rested on who may act no more.
//!
//! Each has a revision, and a server asks for those after the last one before which it knows all. That rests on no clock.
//! On SQLite the revision comes from a counter: one transaction writes at a time, so they become visible in their order. On
//! PostgreSQL it is the number of the transaction, and all is known up to the oldest transaction that still runs: what
//! commits later has a later number, and nobody waits for anybody. The process that commits tells its own listeners before
//! it answers.

use std::sync::{Arc, PoisonError, RwLock};

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, DbErr, EntityTrait, ExprTrait, QueryFilter, QueryResult,
    QuerySelect, Statement, sea_query::Expr,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Change, ChangeKind, Resource, Stamp, Store, Tx,
    entities::{accounts, counters, revoked_tokens},
    time::NOW,
};
use crate::base::{IdKind, Result, TenantId, TenantScope};

/// Name of the counter.
const COUNTER: &str = "revocations";
/// Takes the next revision from the counter of SQLite.
const NEXT: &str = "INSERT INTO counters (name, value) VALUES ($1, 1) \
    ON CONFLICT (name) DO UPDATE SET value = counters.value + 1 RETURNING value";
/// The revision of a transaction of PostgreSQL.
const OWN: &str = "SELECT pg_current_xact_id()::text::bigint";
/// The last one before all transactions that may still commit.
const SETTLED: &str = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1";
/// Most rows that one statement numbers.
const ROWS: usize = 1000;

/// A revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// Of one token.
    Token {
        /// Its id.
        id: String,
        /// When it ends by itself, in seconds since the epoch.
        expires_at: i64,
    },
    /// Of every token that an account was given in an earlier epoch.
    Account {
        /// The account.
        id: Uuid,
        /// Its epoch now.
        epoch: i64,
    },
    /// Of an API key.
    ApiKey {
        /// The key.
        id: Uuid,
    },
}

/// Who is told of the revocations of this process.
#[derive(Default)]
pub(super) struct Listeners(RwLock<Vec<Arc<Listener>>>);

type Listener = dyn Fn(&[Revocation]) + Send + Sync;

impl Listeners {
    /// Tells what was committed.
    pub fn tell(&self, revoked: &[Revocation]) {
        if revoked.is_empty() {
            return;
        }
        let listeners = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        listeners.iter().for_each(|listener| listener(revoked));
    }
}

impl Store {
    /// Lets `listener` hear of every revocation of this process, after its commit and before anybody is answered.
    pub fn on_revocation(&self, listener: impl Fn(&[Revocation]) + Send + Sync + 'static) {
        self.0.observers.revoked.0.write().unwrap_or_else(PoisonError::into_inner).push(Arc::new(listener));
    }

    /// The last revision up to which no more revocations will come, 0 before the first; and the time, as [`Store::time`]
    /// tells it.
    pub async fn settled_revision(&self) -> Result<(i64, OffsetDateTime)> {
        if self.backend() == DbBackend::Postgres {
            let query = Statement::from_string(DbBackend::Postgres, format!("SELECT {SETTLED}, {NOW}"));
            let row = one_row(self.read(), query).await?;
            return Ok((row.try_get_by_index(0)?, row.try_get_by_index::<Stamp>(1)?.time()));
        }
        let row = counters::Entity::find_by_id(COUNTER).one(self.read()).await?;
        Ok((row.map_or(0, |row| row.value), self.clock().now()))
    }
}

/// Whose sessions end.
#[derive(Clone, Copy, Debug)]
pub enum SessionsOf {
    /// Those of every account of a tenant.
    Tenant(TenantScope),
    /// Those of the platform's accounts of an identity.
    Identity(Uuid),
}

impl SessionsOf {
    fn accounts(self) -> Condition {
        match self {
            Self::Tenant(scope) => Condition::all().add(accounts::Column::TenantId.eq(scope.tenant().uuid())),
            Self::Identity(id) => {
                Condition::all().add(accounts::Column::TenantId.is_null()).add(accounts::Column::IdentityId.eq(id))
            }
        }
    }
}

impl Tx {
    /// Ends the sessions of accounts: begins a new epoch for each, which revokes every token that they were given so far,
    /// and raises their versions. How many accounts there are.
    pub async fn end_sessions(&self, of: SessionsOf) -> Result<u64> {
        let now = Stamp::from(self.now());
        accounts::Entity::update_many()
            .col_expr(accounts::Column::Epoch, Expr::col(accounts::Column::Epoch).add(1))
            .col_expr(accounts::Column::EpochChangedAt, Expr::value(now))
            .col_expr(accounts::Column::Version, Expr::col(accounts::Column::Version).add(1))
            .col_expr(accounts::Column::UpdatedAt, Expr::value(now))
            .filter(of.accounts())
            .exec(self.conn())
            .await?;
        let ended = accounts::Entity::find().select_only().column(accounts::Column::Id).column(accounts::Column::Epoch);
        let ended: Vec<(Uuid, i64)> = ended.filter(of.accounts()).into_tuple().all(self.conn()).await?;
        match of {
            // One event stands for all accounts of a tenant, of which there may be many.
            SessionsOf::Tenant(scope) => {
                ended.iter().for_each(|(id, epoch)| self.revoke(Revocation::Account { id: *id, epoch: *epoch }));
                let tenant = scope.tenant();
                self.also_changed(Change::new(Resource::Sessions, ChangeKind::Ended, tenant.dashed()).within(tenant));
            }
            SessionsOf::Identity(_) => ended.iter().for_each(|(id, epoch)| self.sessions_ended(None, *id, *epoch)),
        }
        Ok(ended.len() as u64)
    }

    /// Records that the sessions of one account end. Its row has the new epoch already.
    pub fn sessions_ended(&self, tenant: Option<TenantId>, id: Uuid, epoch: i64) {
        self.revoke(Revocation::Account { id, epoch });
        self.also_changed(Change::new(Resource::Sessions, ChangeKind::Ended, IdKind::User.show(id)).within(tenant));
    }
}

/// Numbers what a transaction revokes, in the transaction.
pub(super) async fn number(
    conn: &impl ConnectionTrait,
    revoked: impl Iterator<Item = &Revocation>,
) -> Result<(), DbErr> {
    let (mut tokens, mut epochs) = (Vec::new(), Vec::new());
    for revocation in revoked {
        match revocation {
            Revocation::Token { id, .. } => tokens.push(id.as_str()),
            Revocation::Account { id, .. } => epochs.push(*id),
            // Keys are looked up, and not kept for longer than a revocation may take.
            Revocation::ApiKey { .. } => {}
        }
    }
    if tokens.is_empty() && epochs.is_empty() {
        return Ok(());
    }
    let backend = conn.get_database_backend();
    let next = match backend {
        DbBackend::Postgres => Statement::from_string(backend, OWN),
        _ => Statement::from_sql_and_values(backend, NEXT, [COUNTER.into()]),
    };
    let revision: i64 = one_row(conn, next).await?.try_get_by_index(0)?;
    for ids in tokens.chunks(ROWS) {
        let rows = revoked_tokens::Entity::update_many().filter(revoked_tokens::Column::Jti.is_in(ids.iter().copied()));
        rows.col_expr(revoked_tokens::Column::Revision, Expr::value(revision)).exec(conn).await?;
    }
    for ids in epochs.chunks(ROWS) {
        let rows = accounts::Entity::update_many().filter(accounts::Column::Id.is_in(ids.iter().copied()));
        rows.col_expr(accounts::Column::EpochRevision, Expr::value(revision)).exec(conn).await?;
    }
    Ok(())
}

async fn one_row(conn: &impl ConnectionTrait, statement: Statement) -> Result<QueryResult, DbErr> {
    conn.query_one_raw(statement).await?.ok_or_else(|| DbErr::RecordNotFound(COUNTER.to_owned()))
}
