//! The trait of a kind of operation.

use serde::{Serialize, de::DeserializeOwned};

use super::Turn;
use crate::{base::Result, jobs::Report};

/// A kind of operation. A server has one value of it, with the dependencies of its steps.
pub trait OperationKind: Send + Sync + 'static {
    /// The name in the database. It must not change, and must not be reused for another kind.
    const NAME: &'static str;
    /// The steps of a new operation, in order. A step that is removed from this list remains a value of [`Self::Step`] while
    /// stored operations may have it.
    const STEPS: &'static [Self::Step];
    /// Whether callers may cancel operations of this kind.
    const CANCELLABLE: bool = true;

    /// The steps.
    type Step: StepName;
    /// The parameters of an operation. They are stored as JSON and must not contain secrets.
    type Input: Serialize + DeserializeOwned + Send + Sync;

    /// Does a step, or one bounded batch of it ([`Report::more`]). It may be interrupted at any `await`, and it may run again after
    /// it has finished, so it must be idempotent. Changes in the database go through [`Turn::write`].
    ///
    /// An UNAVAILABLE, ABORTED, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED or CANCELLED error is retried with exponential backoff, an
    /// INTERNAL or UNKNOWN error a few times. With any other error the operation fails. Callers see the message of the error, the
    /// log has its cause.
    fn step(&self, turn: &Turn, step: Self::Step, input: &Self::Input) -> impl Future<Output = Result<Report>> + Send;

    /// Undoes the effects of the steps, or one bounded batch of them, after the operation was cancelled. The rules of
    /// [`step`](Self::step) apply.
    fn undo(&self, _: &Turn, _: &Self::Input) -> impl Future<Output = Result<Report>> + Send {
        async { Ok(Report::done(0)) }
    }
}

/// The steps of a kind: an enum without data.
pub trait StepName: Copy + Send + Sync + Sized + 'static {
    /// Every step that operations of the kind may have.
    const ALL: &'static [Self];

    /// The stored name.
    fn as_str(self) -> &'static str;

    /// The step with a stored name.
    fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|step| step.as_str() == name)
    }
}
