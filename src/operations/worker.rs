//! Runs one operation on this server, one turn after another, under the lease of the operation.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Failure, Kinds, Operation, State, Turn,
    kinds::AnyKind,
    queries, record,
    record::{Attempt, End},
    retry,
};
use crate::{
    base::{Error, Result, panics},
    jobs::{Lease, Leases, Report, Run},
    store::{Store, audit::storable},
};

/// How often a running step checks whether the operation was cancelled.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Runs operations on this server.
pub(super) struct Worker {
    pub store: Store,
    pub kinds: Kinds,
    pub leases: Leases,
    pub stop: CancellationToken,
}

/// The outcome of an attempt.
enum Outcome {
    Done(Report),
    Failed(Error),
    /// The operation was cancelled.
    Cancelled,
    /// The server is shutting down, or the lease is lost.
    Stopped,
}

/// The name of the lease of an operation.
pub(super) fn lease_of(id: Uuid) -> String {
    format!("operation:{}", id.as_hyphenated())
}

impl Worker {
    /// Takes the lease of an operation; `None` if another server is working on it.
    pub async fn take(&self, id: Uuid) -> Result<Option<Lease>> {
        self.leases.take(lease_of(id), Lease::TTL).await
    }

    /// Runs a due operation until it ends, must wait for its next attempt, or the server stops. Returns whether there was anything
    /// to do. Fails only if a failure could not be recorded.
    pub async fn work(&self, id: Uuid, lease: Lease) -> Result<bool> {
        let run = Arc::new(Run::leased(lease, &self.stop));
        let worked = AssertUnwindSafe(self.follow(&run, id)).catch_unwind().await;
        match worked.unwrap_or_else(|panic| Err(panicked(id, panic.as_ref()))) {
            Err(_) if run.is_lost() => Ok(false),
            Err(error) => {
                // Another server may be able to continue.
                if let Err(error) = self.release(&run).await {
                    tracing::debug!(operation = %id, %error, "cannot release the lease of an operation");
                }
                Err(error)
            }
            worked => worked,
        }
    }

    async fn follow(&self, run: &Arc<Run>, id: Uuid) -> Result<bool> {
        let Some(lease) = run.lease().cloned() else { return Ok(false) };
        let begun = run.maintain(&self.store, "operation.begin", (lease, id), record::begin).await?;
        let Some(mut operation) = begun else { return Ok(false) };
        tracing::info!(operation = %id, kind = operation.kind, target = operation.target, "running an operation");
        while let Some(next) = self.turn(run, operation).await? {
            operation = next;
        }
        Ok(true)
    }

    /// Does one turn. Returns the operation after it; `None` if there is nothing more to do on this server.
    async fn turn(&self, run: &Arc<Run>, operation: Operation) -> Result<Option<Operation>> {
        let Some(kind) = self.kinds.of(&operation).filter(|_| !run.is_stopped()) else {
            return self.release(run).await;
        };
        let undoing = is_undoing(&operation);
        let step = operation.next_step().filter(|_| !undoing);
        if step.is_none() && !undoing {
            return self.end(run, &operation, State::Succeeded, None).await;
        }
        let turn = Turn::new(run.clone(), operation, step);
        let recorded = match self.attempt(kind.as_ref(), run, &turn).await {
            Outcome::Done(report) => turn.record(&self.store, report).await,
            Outcome::Failed(error) => Err(error),
            Outcome::Cancelled => return self.read(turn.operation().id).await.map(Some),
            Outcome::Stopped => return self.release(run).await,
        };
        match recorded {
            Ok(Some(after)) => Ok(Some(after)),
            Ok(None) => self.end(run, turn.operation(), State::Cancelled, None).await,
            Err(_) if run.is_lost() => Ok(None),
            Err(error) => self.failed(run, turn.operation(), &error).await,
        }
    }

    /// Does a batch, renews the lease during it, and drops it if the operation is cancelled.
    async fn attempt(&self, kind: &dyn AnyKind, run: &Run, turn: &Turn) -> Outcome {
        let operation = turn.operation();
        let work = async {
            match turn.step_name() {
                Some(step) => kind.step(turn, step).await,
                None => kind.undo(turn).await,
            }
        };
        let work = AssertUnwindSafe(work).catch_unwind();
        let watched = async {
            tokio::select! {
                ended = work => match ended {
                    Ok(Ok(report)) => Outcome::Done(report),
                    Ok(Err(error)) => Outcome::Failed(error),
                    Err(panic) => Outcome::Failed(panicked(operation.id, panic.as_ref())),
                },
                () = self.watch(run, operation) => Outcome::Cancelled,
                // The lease does not fence effects outside of the database.
                () = run.lapsed() => Outcome::Stopped,
            }
        };
        run.until_stopped(watched).await.unwrap_or(Outcome::Stopped)
    }

    /// Renews the lease, and returns when the operation is cancelled; never while it is being undone.
    async fn watch(&self, run: &Run, operation: &Operation) {
        let mut renewed = Instant::now();
        loop {
            sleep(CHECK_EVERY).await;
            if renewed.elapsed() >= Lease::RENEW_EVERY {
                renewed = Instant::now();
                // The lease is valid long enough for further attempts.
                if let Err(error) = run.renew(&self.store).await {
                    tracing::debug!(operation = %operation.id, %error, "cannot renew the lease of an operation");
                }
            }
            let cancelled =
                !is_undoing(operation) && self.read(operation.id).await.is_ok_and(|now| now.state == State::Cancelling);
            if cancelled {
                return;
            }
        }
    }

    async fn read(&self, id: Uuid) -> Result<Operation> {
        queries::find(&self.store, id).await?.ok_or_else(record::missing)
    }

    /// Records a failed attempt: the operation is tried again later, or fails.
    async fn failed(&self, run: &Run, operation: &Operation, error: &Error) -> Result<Option<Operation>> {
        let attempts = operation.attempts.saturating_add(1);
        let internal_failures = operation.internal_failures.saturating_add(u32::from(retry::is_internal(error)));
        let failure = Failure { reason: error.reason_name().to_owned(), cause: storable(&error.message) };
        let (id, kind, cause) = (operation.id, &operation.kind, error.cause.as_ref());
        if !retry::is_retried(error, internal_failures) {
            tracing::warn!(operation = %id, kind, %error, ?cause, "an operation failed");
            return self.end(run, operation, State::Failed, Some(failure)).await;
        }
        if attempts == 1 {
            tracing::warn!(operation = %id, kind, %error, ?cause, "a step of an operation failed; trying again");
        } else {
            tracing::debug!(operation = %id, kind, %error, ?cause, attempts, "a step of an operation failed again");
        }
        let Some(lease) = run.lease().cloned() else { return Ok(None) };
        let (delay, undoing) = (retry::delay(error, attempts), is_undoing(operation));
        let attempt = Attempt { id, lease, attempts, internal_failures, failure, delay, undoing };
        match run.maintain(&self.store, "operation.postpone", attempt, record::postpone).await? {
            true => Ok(None),
            false => self.read(id).await.map(Some),
        }
    }

    /// Ends an operation. If it was cancelled during its last step, it is undone instead.
    async fn end(
        &self,
        run: &Run,
        operation: &Operation,
        state: State,
        failure: Option<Failure>,
    ) -> Result<Option<Operation>> {
        let Some(lease) = run.lease().cloned() else { return Ok(None) };
        let end = End { id: operation.id, lease, state, failure, undoing: is_undoing(operation) };
        if !run.maintain(&self.store, "operation.end", end, record::end).await? {
            return self.read(operation.id).await.map(Some);
        }
        metrics::counter!("tenantry_operations_total", "kind" => operation.kind.clone(), "outcome" => state.as_str())
            .increment(1);
        tracing::info!(operation = %operation.id, kind = operation.kind, state = state.as_str(), "an operation ended");
        Ok(None)
    }

    /// Releases the lease, so that another server can continue.
    async fn release(&self, run: &Run) -> Result<Option<Operation>> {
        if let Some(lease) = run.lease().cloned().filter(|_| !run.is_lost()) {
            run.maintain(&self.store, "operation.release", lease, record::release).await?;
        }
        Ok(None)
    }
}

/// Whether the effects of an operation are being undone.
fn is_undoing(operation: &Operation) -> bool {
    operation.state == State::Cancelling
}

/// Counts and logs a panic.
fn panicked(id: Uuid, panic: &(dyn Any + Send)) -> Error {
    panics::count(panic);
    tracing::error!(operation = %id, panic = panics::text(panic), "an operation panicked");
    Error::internal("an operation panicked")
}
