//! The relay on PostgreSQL, which numbers the outbox and seals the audit log. (On SQLite the single writer does
//! both.)
//!
//! Rows are committed without a number, because numbers assigned before the commit can become visible out of
//! order: a reader that has seen 8 would never look for 7. One replica at a time holds the lease and numbers
//! committed rows in the order of their `place`, a sequence value assigned when the row is written, so that a
//! row that depends on another one follows it. Ids would not do, because they begin with the writer's wall
//! clock.

use sea_orm::{
    ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Statement, Value,
    sea_query::{Expr, NullOrdering, Order},
};
use uuid::Uuid;

use super::{
    Fetch, Store, Tx, chain, execute, sequence,
    tables::{audit_events, outbox},
};
use crate::base::Result;

/// Maximum number of rows in one step.
const ROWS: u64 = 500;

/// Numbers outbox rows in the order of their places.
const NUMBER: &str = "UPDATE outbox SET revision = waiting.turn + $1 \
    FROM (SELECT id, ROW_NUMBER() OVER (ORDER BY place NULLS FIRST, id) AS turn FROM outbox WHERE revision IS NULL \
          ORDER BY place NULLS FIRST, id LIMIT $2) \
    AS waiting WHERE outbox.id = waiting.id";

/// The result of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Number of outbox rows that got a revision.
    pub numbered: u64,
    /// Number of audit events sealed.
    pub sealed: u64,
}

impl Step {
    /// Whether there may be more to do.
    pub fn is_full(self) -> bool {
        self.numbered >= ROWS || self.sealed >= ROWS
    }
}

/// Whether rows are waiting to be numbered or sealed.
pub async fn is_work_waiting(store: &Store) -> Result<bool> {
    let conn = store.read();
    let outbox = outbox::Entity::find().select_only().column(outbox::Column::Id);
    let outbox =
        outbox.filter(outbox::Column::Revision.is_null()).limit(1).into_tuple::<Uuid>().fetch_one(conn).await?;
    if outbox.is_some() {
        return Ok(true);
    }
    let audit = audit_events::Entity::find().select_only().column(audit_events::Column::Id);
    let audit = audit.filter(audit_events::Column::Seq.is_null()).limit(1).into_tuple::<Uuid>().fetch_one(conn).await?;
    Ok(audit.is_some())
}

/// Numbers and seals committed rows, up to a limit. Must run in a transaction that holds the relay's lease.
pub async fn step(tx: &Tx) -> Result<Step> {
    Ok(Step { numbered: number(tx).await?, sealed: seal(tx).await? })
}

async fn number(tx: &Tx) -> Result<u64> {
    let last = sequence::revision(tx.conn()).await?;
    let number = Statement::from_sql_and_values(tx.backend(), NUMBER, [last.into(), (ROWS as i64).into()]);
    Ok(execute(tx.conn(), number).await?)
}

async fn seal(tx: &Tx) -> Result<u64> {
    let mut events = audit_events::Entity::find()
        .filter(audit_events::Column::Seq.is_null())
        .order_by_with_nulls(Expr::col("place"), Order::Asc, NullOrdering::First)
        .order_by_asc(audit_events::Column::Id)
        .limit(ROWS)
        .fetch_all(tx.conn())
        .await?;
    if events.is_empty() {
        return Ok(0);
    }
    chain::seal(sequence::seal(tx.conn()).await?, &mut events);
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
    execute(tx.conn(), seal).await
}
