//! The transaction of a write.

use std::borrow::Cow;

use sea_orm::{DbErr, RuntimeErr, Value};
use tokio::sync::Mutex;
use tokio_postgres::Row;

use super::{
    connection::{Command, Last},
    flight::{Keep, Reply},
    pool::{Lease, Pool},
};

/// A transaction. BEGIN is sent together with the first statement, and statements whose results nothing waits for with the next
/// one or with COMMIT.
///
/// A transaction in which a statement failed, or was dropped before its reply, is not committed: PostgreSQL would answer COMMIT
/// with ROLLBACK, which is not an error.
#[derive(Debug)]
pub struct Transaction(Mutex<State>);

struct State {
    lease: Lease,
    begun: bool,
    waiting: Vec<Command>,
    /// Why the transaction cannot be committed.
    failed: Option<DbErr>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("State")
    }
}

impl Transaction {
    /// Takes a connection, and sends nothing yet.
    pub(in crate::store) async fn begin(pool: &Pool) -> Result<Self, DbErr> {
        let lease = pool.acquire().await?;
        Ok(Self(Mutex::new(State { lease, begun: false, waiting: Vec::new(), failed: None })))
    }

    /// Runs a query.
    pub(in crate::store) async fn query(&self, sql: &str, values: &[Value], keep: Keep) -> Result<Vec<Row>, DbErr> {
        let reply = self.0.lock().await.send(Last::Statement(sql, values, keep)).await?;
        Ok(reply.rows)
    }

    /// Runs a change. Returns the number of changed rows.
    pub(in crate::store) async fn execute(&self, sql: &str, values: &[Value]) -> Result<u64, DbErr> {
        let reply = self.0.lock().await.send(Last::Statement(sql, values, Keep::First)).await?;
        Ok(reply.changed)
    }

    /// Runs a change whose result nothing waits for.
    pub(in crate::store) async fn submit(&self, sql: Cow<'static, str>, values: Vec<Value>) -> Result<(), DbErr> {
        let mut state = self.0.lock().await;
        state.lease.connection()?.report(&sql);
        state.waiting.push(Command { sql, values });
        Ok(())
    }

    /// Runs statements without parameters.
    pub(in crate::store) async fn execute_unprepared(&self, sql: &str) -> Result<(), DbErr> {
        let mut state = self.0.lock().await;
        // A text may have several statements, which only this form of a query permits.
        state.send(Last::Control("")).await?;
        state.failed = Some(incomplete());
        let done = state.lease.connection()?.control(sql).await;
        state.failed = done.as_ref().err().cloned();
        done
    }

    /// Sends what waits together with COMMIT. If one fails, the transaction is rolled back. If the connection is lost, it is not
    /// known whether it was committed.
    pub(in crate::store) async fn commit(self) -> Result<(), DbErr> {
        let mut state = self.0.into_inner();
        if state.failed.is_none() && !state.begun && state.waiting.is_empty() {
            return Ok(());
        }
        let committed = match state.failed.take() {
            Some(error) => Err(error),
            None => state.send(Last::Control("COMMIT")).await.map(drop),
        };
        match committed {
            Ok(()) => state.lease.end_transaction(),
            // Ends what COMMIT has not.
            Err(_) => drop(state.roll_back().await),
        }
        committed
    }

    /// Rolls the transaction back.
    pub(in crate::store) async fn rollback(self) -> Result<(), DbErr> {
        self.0.into_inner().roll_back().await
    }
}

impl State {
    /// Sends a statement, together with what waits.
    async fn send(&mut self, last: Last<'_>) -> Result<Reply, DbErr> {
        // After a failure PostgreSQL runs nothing either. BEGIN may not even have been sent: a statement would be committed.
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let (begin, waiting) = (!self.begun, std::mem::take(&mut self.waiting));
        // Replaced by the result, unless this future is dropped.
        self.failed = Some(incomplete());
        self.begun = true;
        let done = self.lease.begin_transaction()?.together(begin, &waiting, last).await;
        self.failed = done.as_ref().err().cloned();
        done
    }

    async fn roll_back(&mut self) -> Result<(), DbErr> {
        if self.begun {
            self.lease.connection()?.control("ROLLBACK").await?;
        }
        self.lease.end_transaction();
        Ok(())
    }
}

/// Why a transaction cannot be committed after a statement was dropped.
fn incomplete() -> DbErr {
    DbErr::Query(RuntimeErr::Internal("a statement was dropped before its reply".to_owned()))
}
