//! The context of a step: the operation, and writes that are fenced by its lease.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::{Operation, record};
use crate::{
    base::{Error, Result},
    jobs::{Report, Run},
    store::{Store, Tx, WriteFn},
};

/// The context of one turn of an operation. A turn is an attempt at one batch of a step, or of undoing.
#[derive(Debug)]
pub struct Turn {
    run: Arc<Run>,
    operation: Operation,
    /// The index of the step; `None` while the operation is being undone.
    step: Option<usize>,
    /// The result of [`Turn::write`].
    recorded: Mutex<Option<Recorded>>,
}

/// The report of the write of a turn, and the operation after it.
#[derive(Debug)]
struct Recorded {
    report: Report,
    after: Operation,
}

impl Turn {
    pub(super) fn new(run: Arc<Run>, operation: Operation, step: Option<usize>) -> Self {
        Self { run, operation, step, recorded: Mutex::default() }
    }

    /// The operation, as it was when the turn began.
    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    /// The name of the step; `None` while the operation is being undone.
    pub(super) fn step_name(&self) -> Option<&str> {
        self.operation.steps.get(self.step?).map(|step| step.name.as_str())
    }

    /// Whether the turn should end, because the server is shutting down or the lease is lost.
    pub fn is_stopped(&self) -> bool {
        self.run.is_stopped()
    }

    /// Runs `work` and records its report as progress, in one transaction. It commits only if this server still has the lease and
    /// the operation has not changed since the turn began, so an interrupted step commits nothing. A turn has at most one write; a
    /// second one fails. The step must return the report.
    pub async fn write<I, F>(&self, store: &Store, input: I, work: F) -> Result<Report>
    where
        I: Send + Sync + 'static,
        F: for<'t> WriteFn<'t, I, Report> + 'static,
    {
        if self.recorded().is_some() {
            return Err(Error::internal("a turn of an operation has more than one write"));
        }
        let batch = Batch { id: self.operation.id, version: self.operation.version, step: self.step, input, work };
        let (report, after) = self.run.maintain(store, "operation.step", batch, batch_in::<I, F>).await?;
        *self.recorded() = Some(Recorded { report, after });
        Ok(report)
    }

    /// Records the progress of the turn, unless [`write`](Self::write) has recorded it. Returns the operation after the turn; `None`
    /// if undoing is complete.
    pub(super) async fn record(&self, store: &Store, report: Report) -> Result<Option<Operation>> {
        let recorded = self.recorded().take();
        let report = recorded.as_ref().map_or(report, |recorded| recorded.report);
        if self.step.is_none() && !report.more {
            return Ok(None);
        }
        if let Some(recorded) = recorded {
            return Ok(Some(recorded.after));
        }
        let input = (self.operation.id, self.step, report);
        self.run.maintain(store, "operation.progress", input, record::progress_of).await.map(Some)
    }

    fn recorded(&self) -> MutexGuard<'_, Option<Recorded>> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Batch<I, F> {
    id: Uuid,
    /// The version of the operation when the turn began.
    version: i64,
    step: Option<usize>,
    input: I,
    work: F,
}

async fn batch_in<I, F>(tx: &Tx, batch: &Batch<I, F>) -> Result<(Report, Operation)>
where
    I: Sync,
    F: for<'t> WriteFn<'t, I, Report>,
{
    let row = record::unchanged(tx, batch.id, batch.version).await?;
    let report = batch.work.run(tx, &batch.input).await?;
    let after = record::progress(tx, row, batch.step, report).await?;
    Ok((report, after))
}
