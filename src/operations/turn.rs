//! What a step works with: the operation, and writes that its lease protects.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::{Operation, record};
use crate::{
    base::{Error, Result},
    jobs::{Report, Run},
    store::{Store, Tx, WriteFn},
};

/// One turn of an operation: a batch of one step.
#[derive(Debug)]
pub struct Turn {
    run: Arc<Run>,
    operation: Operation,
    /// The step; none while the operation is undone.
    step: Option<usize>,
    /// What the write of this turn did.
    recorded: Mutex<Option<Recorded>>,
}

/// What the write of a turn did, and the operation after it.
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

    /// The name of the step; none while the operation is undone.
    pub(super) fn step_name(&self) -> Option<&str> {
        self.operation.steps.get(self.step?).map(|step| step.name.as_str())
    }

    /// Whether the turn should end: the server shuts down, the lease is lost or the operation was cancelled.
    pub fn is_stopped(&self) -> bool {
        self.run.is_stopped()
    }

    /// Does a batch in one transaction with the record of it, so that neither is there without the other. `work` reports
    /// what it did, and the step returns that report. It commits only under the lease and if the operation has not changed:
    /// a server that has lost the operation, or whose step was interrupted, changes nothing. A turn has one write; a second
    /// one is refused.
    pub async fn write<I, F>(&self, store: &Store, input: I, work: F) -> Result<Report>
    where
        I: Send + Sync + 'static,
        F: for<'t> WriteFn<'t, I, Report> + 'static,
    {
        if self.recorded().is_some() {
            return Err(Error::internal("a turn writes once: what is left is another batch"));
        }
        let batch = Batch { id: self.operation.id, version: self.operation.version, step: self.step, input, work };
        let (report, after) = self.run.maintain(store, "operation.step", batch, batch_in::<I, F>).await?;
        *self.recorded() = Some(Recorded { report, after });
        Ok(report)
    }

    /// Records what a step did beside the database, unless its own write did. Returns the operation as it is then; `None`
    /// if all is undone.
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
    /// That of the operation when the turn began.
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
