//! The write path of all calls.
//!
//! It names and measures the operation, runs it in its own task, so that a caller that disconnects does not roll back
//! what has begun, retries it after a serialization failure or a deadlock, and adds the recorded effects to the same
//! transaction. It returns after COMMIT.

pub(super) mod after_commit;
pub(super) mod caller_check;
pub(super) mod change;
pub(super) mod group_commit;
pub mod idempotent;
pub(super) mod queued;
pub(super) mod tx;

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::FutureExt;
use tokio::sync::oneshot;

use self::{
    queued::{QueuedWrite, Work, WriteFn},
    tx::{Effects, Tx},
};
use super::{Reads, Store, TxConn, audit::AuditRecord, conflict, postgres::Transaction};
use crate::base::{Clock, Cx, Error, Result};

/// A write that takes longer than this is logged.
const SLOW: Duration = Duration::from_millis(200);
/// Maximum number of attempts.
const RUNS: u32 = 6;
/// Delay before the second attempt; the maximum doubles with each further one.
const PAUSE: Duration = Duration::from_millis(5);

tokio::task_local! {
    /// Set while a write runs.
    static WRITING: ();
}

/// Whether the current task is inside a write, which must await nothing but the transaction: on SQLite all
/// other writes wait for it, on PostgreSQL it holds locks. Clients of other systems check this, and refuse to
/// run.
pub fn in_write() -> bool {
    WRITING.try_with(|()| ()).is_ok()
}

impl Store {
    /// Runs a write of a call in one transaction with its audit event and its outbox events.
    ///
    /// `work` may run more than once on the same input, so it must have no effects outside the transaction, and must await
    /// nothing else ([`in_write`]). If it records no audit event, the call's own action and target are recorded. The first
    /// write of a call with an idempotency key claims the key in the same transaction.
    ///
    /// ```text
    /// store.write(cx, (tenant, draft), insert).await
    ///
    /// async fn insert(tx: &Tx, (tenant, draft): &(TenantRef, Draft)) -> Result<User> { .. }
    /// ```
    pub async fn write<I, T, F>(&self, cx: &Cx, input: I, work: F) -> Result<T>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'t> WriteFn<'t, I, T> + 'static,
    {
        self.enter(cx.clone(), true, input, work).await
    }

    /// Runs a write that belongs to no call: numbering, leases, counters. It needs no audit event.
    pub(crate) async fn maintain<I, T, F>(&self, task: &'static str, input: I, work: F) -> Result<T>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'t> WriteFn<'t, I, T> + 'static,
    {
        let cx = Cx::system(task, self.clock().clone());
        self.enter(cx, false, input, work).await
    }

    /// Appends audit events that belong to no write, such as aggregated denials.
    pub async fn append_audit(&self, records: Vec<AuditRecord>) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        self.maintain("audit.append", Arc::from(records), record_all).await
    }

    async fn enter<I, T, F>(&self, cx: Cx, audited: bool, input: I, work: F) -> Result<T>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'t> WriteFn<'t, I, T> + 'static,
    {
        let started = Instant::now();
        let (reply, answer) = oneshot::channel();
        let (operation, request_id, keyed) = (cx.operation(), cx.request_id.clone(), cx.keyed.clone());
        self.admit(Box::new(Work { cx, audited, input, work, value: None, reply })).await;
        // A task that ended without a result was aborted.
        let outcome = answer.await.unwrap_or_else(|_| Err(conflict::unavailable("the writer stopped", "write to")));
        if let (Ok(_), Some(call)) = (&outcome, keyed) {
            call.note_written();
        }
        measure(operation, &request_id, started.elapsed(), outcome.is_ok());
        outcome
    }

    /// Passes a write to the task that runs it.
    async fn admit(&self, queued: Box<dyn QueuedWrite>) {
        match &self.0.group {
            Some(group) => group.admit(queued).await,
            None => {
                let store = self.clone();
                self.0.tasks.spawn(async move { store.run_alone(queued).await });
            }
        }
    }

    /// Runs a write in its own transaction, with retries.
    async fn run_alone(&self, mut queued: Box<dyn QueuedWrite>) {
        for run in 1.. {
            let outcome = self.attempt(queued.as_mut()).await;
            match outcome {
                Err(error) if run < RUNS && conflict::is_transient(&error) && !queued.abandoned() => {
                    metrics::counter!("tenantry.store.write.retries").increment(1);
                    tokio::time::sleep(PAUSE * 2_u32.pow(run - 1).min(16) * rand::random_range(1..=8) / 8).await;
                }
                outcome => return queued.answer(outcome),
            }
        }
    }

    async fn attempt(&self, queued: &mut dyn QueuedWrite) -> Result<()> {
        let Reads::Postgres(pool) = &self.0.db.reads else {
            return Err(Error::internal("a write runs alone only on PostgreSQL"));
        };
        let (conn, effects) = run(queued, TxConn::Postgres(Transaction::begin(pool).await?), self.clock()).await;
        let outcome = match effects {
            Ok(effects) => {
                let wakes = !effects.is_empty();
                effects.write(&conn).await.map(|steps| (wakes, steps)).map_err(Error::from)
            }
            Err(error) => Err(error),
        };
        match outcome {
            Ok((wakes, after_commit)) => {
                // The rows of the effects are sent together with it.
                conn.commit().await?;
                self.0.observers.committed(after_commit);
                if wakes {
                    self.0.committed.activate();
                }
                Ok(())
            }
            Err(error) => {
                if let Err(error) = conn.rollback().await {
                    tracing::debug!(%error, "rolling back failed");
                }
                Err(error)
            }
        }
    }
}

/// Runs a write once in a transaction, and returns the transaction with the recorded effects. A panic becomes
/// an internal error.
pub(in crate::store) async fn run(
    queued: &mut dyn QueuedWrite,
    conn: TxConn,
    clock: &Clock,
) -> (TxConn, Result<Effects>) {
    let audited = queued.audited();
    let tx = Tx::new(conn, queued.cx().clone(), clock.clone());
    let work = async {
        caller_check::check(&tx).await?;
        idempotent::claim(&tx).await?;
        queued.run(&tx).await
    };
    let outcome = AssertUnwindSafe(WRITING.scope((), work)).catch_unwind().await;
    let (conn, effects) = tx.finish(audited);
    let outcome = outcome.unwrap_or_else(|panic| Err(Error::internal(panic_text(panic.as_ref()))));
    (conn, outcome.and(effects))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("a write panicked: {}", text.unwrap_or("no message"))
}

fn measure(operation: &'static str, request_id: &str, elapsed: Duration, succeeded: bool) {
    let outcome = if succeeded { "success" } else { "error" };
    metrics::histogram!("tenantry.store.write.duration", "operation" => operation, "outcome" => outcome)
        .record(elapsed.as_secs_f64());
    if elapsed >= SLOW {
        tracing::warn!(operation, request_id, elapsed_ms = elapsed.as_millis() as u64, "slow write");
    }
}

async fn record_all(tx: &Tx, records: &Arc<[AuditRecord]>) -> Result<()> {
    records.iter().cloned().for_each(|record| tx.record(record));
    Ok(())
}
