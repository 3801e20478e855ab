//! What an operation does: the trait of a kind.

use serde::{Serialize, de::DeserializeOwned};

use super::Turn;
use crate::{base::Result, jobs::Report};

/// A kind of operation. It is made once for a server, with what its steps need.
pub trait OperationKind: Send + Sync + 'static {
    /// The name in the database. It never changes and is never reused for something else.
    const NAME: &'static str;
    /// The steps of a new operation, in order. A step that was removed from here stays a value of [`Self::Step`] as long as
    /// operations may have it.
    const STEPS: &'static [Self::Step];
    /// Whether callers may cancel it. If not, they are refused.
    const CANCELLABLE: bool = true;

    /// The steps.
    type Step: StepName;
    /// What the steps need to know. It is stored as JSON, so it has no secrets.
    type Input: Serialize + DeserializeOwned + Send + Sync;

    /// Does a step, or one bounded batch of it ([`Report::more`]). It may be interrupted at any `await` and repeated after
    /// it was done, so it does what is missing and nothing twice. An effect in the database goes through [`Turn::write`].
    ///
    /// An error whose kind says that trying again may help (UNAVAILABLE, ABORTED, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED) is
    /// retried with growing delays; an INTERNAL or UNKNOWN error is retried a few times; every other error ends the
    /// operation as failed. Callers see the message of the error, the log its cause.
    fn step(&self, turn: &Turn, step: Self::Step, input: &Self::Input) -> impl Future<Output = Result<Report>> + Send;

    /// Undoes what the steps did, or one bounded batch of that, after the operation was cancelled. The same rules hold.
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

    /// The step of a name.
    fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|step| step.as_str() == name)
    }
}
