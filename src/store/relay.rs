//! The relay of PostgreSQL: numbers the outbox and seals the audit log. (On SQLite the one writer does that itself.)
//!
//! Rows commit without a number, because a number that is taken before the commit is wrong for whoever commits late: a
//! reader that has seen 8 would never look for 7. One replica at a time holds the lease and gives out the numbers to rows
//! that have committed, in the order of their places. A sequence gives those when the row is written, so a row that rests
//! on what another one tells of comes after it; the ids would not do, as they begin with the wall clock of the writer.

use std::time::Duration;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Statement,
    Value,
    sea_query::{Expr, NullOrdering, Order},
};
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Store, Tx, chain,
    entities::{audit_events, outbox},
    heads,
    lease::Lease,
};
use crate::base::Result;

/// Name of the lease.
const LEASE: &str = "relay";
/// How long a relay that is silent keeps the lease.
const TTL: Duration = Duration::from_secs(10);
/// How often the relay looks for rows that others committed.
const POLL: Duration = Duration::from_millis(200);
/// How long it lets rows gather after it has worked: one update of many rows is much cheaper than many of one.
const GATHER: Duration = Duration::from_millis(20);
/// How long it rests after a failure.
const REST: Duration = Duration::from_secs(1);
/// Most rows of one step.
const ROWS: u64 = 500;

/// Numbers outbox rows in the order of their places.
const NUMBER: &str = "UPDATE outbox SET revision = waiting.turn + $1 \
    FROM (SELECT id, ROW_NUMBER() OVER (ORDER BY place NULLS FIRST, id) AS turn FROM outbox WHERE revision IS NULL \
          ORDER BY place NULLS FIRST, id LIMIT $2) \
    AS waiting WHERE outbox.id = waiting.id";

/// A relay.
#[derive(Debug)]
pub struct Relay {
    store: Store,
    holder: String,
    lease: Option<Lease>,
}

/// What a step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Outbox rows that got a revision.
    pub numbered: u64,
    /// Audit events that were sealed.
    pub sealed: u64,
}

impl Step {
    fn is_full(self) -> bool {
        self.numbered >= ROWS || self.sealed >= ROWS
    }
}

/// Runs a relay until the stop. On SQLite there is nothing for it to do, and it ends at once.
pub async fn follow(store: Store, stop: CancellationToken) {
    if store.backend() == DbBackend::Postgres {
        Relay::new(&store).run(stop).await;
    }
}

/// As [`follow`], in a task of its own.
pub fn spawn(store: &Store, stop: CancellationToken) -> JoinHandle<()> {
    tokio::spawn(follow(store.clone(), stop))
}

impl Relay {
    /// A relay of its own name.
    pub fn new(store: &Store) -> Self {
        Self { store: store.clone(), holder: Uuid::now_v7().to_string(), lease: None }
    }

    async fn run(mut self, stop: CancellationToken) {
        loop {
            let pause = match self.catch_up().await {
                Ok(()) => POLL,
                Err(error) => {
                    tracing::warn!(%error, cause = ?error.cause, "the relay could not work");
                    REST
                }
            };
            let wait_until = Instant::now() + pause;
            tokio::time::sleep(GATHER).await;
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.store.0.committed.notified() => {}
                () = tokio::time::sleep_until(wait_until) => {}
            }
        }
        self.release().await;
    }

    async fn catch_up(&mut self) -> Result<()> {
        while self.is_work_waiting().await? {
            match self.step().await? {
                Some(step) if step.is_full() => {}
                _ => break,
            }
        }
        Ok(())
    }

    /// Asked first, so that a relay at rest writes nothing.
    async fn is_work_waiting(&self) -> Result<bool> {
        let conn = self.store.read();
        let outbox = outbox::Entity::find().select_only().column(outbox::Column::Id);
        let outbox = outbox.filter(outbox::Column::Revision.is_null()).limit(1).into_tuple::<Uuid>().one(conn).await?;
        if outbox.is_some() {
            return Ok(true);
        }
        let audit = audit_events::Entity::find().select_only().column(audit_events::Column::Id);
        let audit = audit.filter(audit_events::Column::Seq.is_null()).limit(1).into_tuple::<Uuid>().one(conn).await?;
        Ok(audit.is_some())
    }

    /// Numbers and seals what has committed, up to a bound. `None` if another relay holds the lease.
    pub async fn step(&mut self) -> Result<Option<Step>> {
        let lease = match self.lease.clone() {
            Some(lease) => lease,
            None => match Lease::take(&self.store, LEASE, &self.holder, TTL).await? {
                Some(lease) => lease,
                None => return Ok(None),
            },
        };
        self.lease = Some(lease.clone());
        let step = self.store.maintain("relay.step", lease, step_in).await?;
        if step.is_none() {
            self.lease = None;
        }
        Ok(step)
    }

    /// Gives the lease back.
    pub async fn release(&mut self) {
        if let Some(lease) = self.lease.take()
            && let Err(error) = lease.release(&self.store).await
        {
            tracing::debug!(%error, "the relay's lease was not given back and will run out");
        }
    }
}

/// A step under a lease; `None` if it was lost.
async fn step_in(tx: &Tx, lease: &Lease) -> Result<Option<Step>> {
    if !lease.hold(tx).await? {
        return Ok(None);
    }
    Ok(Some(Step { numbered: number(tx).await?, sealed: seal(tx).await? }))
}

async fn number(tx: &Tx) -> Result<u64> {
    let last = heads::revision(tx.conn()).await?;
    let number = Statement::from_sql_and_values(tx.backend(), NUMBER, [last.into(), (ROWS as i64).into()]);
    Ok(tx.conn().execute_raw(number).await?.rows_affected())
}

async fn seal(tx: &Tx) -> Result<u64> {
    let mut events = audit_events::Entity::find()
        .filter(audit_events::Column::Seq.is_null())
        .order_by_with_nulls(Expr::col("place"), Order::Asc, NullOrdering::First)
        .order_by_asc(audit_events::Column::Id)
        .limit(ROWS)
        .all(tx.conn())
        .await?;
    if events.is_empty() {
        return Ok(0);
    }
    chain::seal(heads::seal(tx.conn()).await?, &mut events);
    let rows = events.len();
    let values = events
        .into_iter()
        .flat_map(|event| [Value::from(event.id), event.seq.into(), event.prev_hash.into(), event.hash.into()]);
    Ok(write_seals(tx, rows, values.collect()).await?)
}

async fn write_seals(tx: &Tx, rows: usize, values: Vec<Value>) -> Result<u64, DbErr> {
    let row = |row: usize| format!("(${}, ${}, ${}, ${})", 4 * row + 1, 4 * row + 2, 4 * row + 3, 4 * row + 4);
    let rows: Vec<String> = (0..rows).map(row).collect();
    let sql = format!(
        "WITH sealed(id, seq, prev_hash, hash) AS (VALUES {}) UPDATE audit_events SET seq = sealed.seq, \
         prev_hash = sealed.prev_hash, hash = sealed.hash FROM sealed WHERE audit_events.id = sealed.id",
        rows.join(", ")
    );
    let seal = Statement::from_sql_and_values(tx.backend(), sql, values);
    Ok(tx.conn().execute_raw(seal).await?.rows_affected())
}
