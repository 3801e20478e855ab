//! What a step works with: the operation, and writes that its lease protects.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::{Operation, record};
use crate::{
    base::Result,
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
    /// The operation as the write of this turn left it.
    recorded: Mutex<Option<Operation>>,
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
    /// what it did, and the step returns that report. It commits only under the lease: a server that has lost the operation
    /// changes nothing.
    pub async fn write<I, F>(&self, store: &Store, input: I, work: F) -> Result<Report>
    where
        I: Send + Sync + 'static,
        F: for<'t> WriteFn<'t, I, Report> + 'static,
    {
        let batch = Batch { id: self.operation.id, step: self.step, input, work };
        let (report, after) = self.run.maintain(store, "operation.step", batch, batch_in::<I, F>).await?;
        *self.recorded() = after;
        Ok(report)
    }

    /// Records what a step did beside the database, unless its own write did.
    pub(super) async fn record(&self, store: &Store, report: Report) -> Result<Option<Operation>> {
        let recorded = self.recorded().take();
        match (recorded, self.step) {
            (Some(after), _) => Ok(Some(after)),
            (None, None) => Ok(None),
            (None, Some(step)) => {
                let input = (self.operation.id, step, report);
                self.run.maintain(store, "operation.progress", input, progress_in).await.map(Some)
            }
        }
    }

    fn recorded(&self) -> MutexGuard<'_, Option<Operation>> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Batch<I, F> {
    id: Uuid,
    step: Option<usize>,
    input: I,
    work: F,
}

async fn batch_in<I, F>(tx: &Tx, batch: &Batch<I, F>) -> Result<(Report, Option<Operation>)>
where
    I: Sync,
    F: for<'t> WriteFn<'t, I, Report>,
{
    let report = batch.work.run(tx, &batch.input).await?;
    let after = match batch.step {
        Some(step) => Some(record::progress(tx, batch.id, step, report).await?),
        None => None,
    };
    Ok((report, after))
}

async fn progress_in(tx: &Tx, (id, step, report): &(Uuid, usize, Report)) -> Result<Operation> {
    record::progress(tx, *id, *step, *report).await
}
