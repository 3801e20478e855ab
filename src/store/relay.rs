//! The relay on PostgreSQL, which numbers the outbox and seals the audit log. (On SQLite the single writer does
//! both.)
//!
//! Rows are committed without a number, because numbers assigned before the commit can become visible out of
//! order: a reader that has seen 8 would never look for 7. One replica at a time holds the lease and numbers
//! committed rows in the order of their `place`, a sequence value assigned when the row is written, so that a
//! row that depends on another one follows it. Ids would not do, because they begin with the writer's wall
//! clock.

use std::fmt::{self, Write};

use sea_orm::{
    ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Statement, Value,
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

/// Writes the seals of audit events. The columns are arrays, so that the text is the same for any number of events.
const SEAL: &str = "UPDATE audit_events SET seq = sealed.seq, prev_hash = sealed.prev_hash, hash = sealed.hash \
    FROM unnest($1::uuid[], $2::bigint[], $3::bytea[], $4::bytea[]) AS sealed(id, seq, prev_hash, hash) \
    WHERE audit_events.id = sealed.id";

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
    let seal = Statement::from_sql_and_values(tx.backend(), SEAL, columns(&events));
    Ok(execute(tx.conn(), seal).await?)
}

/// The columns of [`SEAL`], as PostgreSQL writes arrays.
fn columns(events: &[audit_events::Model]) -> [Value; 4] {
    let array = |text: &dyn Fn(&audit_events::Model, &mut String)| {
        let mut array = "{".to_owned();
        for event in events {
            if array.len() > 1 {
                array.push(',');
            }
            text(event, &mut array);
        }
        array.push('}');
        Value::from(array)
    };
    let bytes = |bytes: Option<&Vec<u8>>, array: &mut String| {
        let Some(bytes) = bytes else { return array.push_str("NULL") };
        array.push_str("\"\\\\x");
        bytes.iter().for_each(|byte| show(array, format_args!("{byte:02x}")));
        array.push('"');
    };
    [
        array(&|event, array| show(array, format_args!("{}", event.id))),
        array(&|event, array| show(array, format_args!("{}", event.seq.unwrap_or_default()))),
        array(&|event, array| bytes(event.prev_hash.as_ref(), array)),
        array(&|event, array| bytes(event.hash.as_ref(), array)),
    ]
}

fn show(text: &mut String, value: fmt::Arguments<'_>) {
    // Writing to a text does not fail.
    let _ = text.write_fmt(value);
}
