//! An operation and its state.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    base::{Error, Result, TenantId},
    store::{Stamp, json, tables::operations::Model},
};

/// An operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    pub id: Uuid,
    /// The name of its kind.
    pub kind: String,
    /// The tenant that it works on. It may have been deleted.
    pub tenant: Option<TenantId>,
    /// The name of the resource that it works on.
    pub target: String,
    /// The subject of the caller that started it.
    pub requested_by: String,
    pub state: State,
    /// Whether callers may cancel it.
    pub cancellable: bool,
    /// Its steps, in order.
    pub steps: Vec<Step>,
    /// The [`OperationKind::Input`](super::OperationKind::Input), as JSON.
    pub(super) input: String,
    /// Increases with every change.
    pub version: i64,
    /// Failed attempts since the last progress.
    pub attempts: u32,
    /// Attempts that failed with an internal error since the last progress.
    pub(super) internal_failures: u32,
    /// The last failure. It is kept until there is progress, and after the end if the operation failed.
    pub failure: Option<Failure>,
    /// When it is tried next, if the last attempt failed and it has not ended.
    pub next_attempt_at: Option<OffsetDateTime>,
    /// When it was started by the call.
    pub created_at: OffsetDateTime,
    /// When it last changed.
    pub updated_at: OffsetDateTime,
    /// When its first step began.
    pub started_at: Option<OffsetDateTime>,
    /// When it ended.
    pub ended_at: Option<OffsetDateTime>,
}

/// A step of an operation, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub name: String,
    /// Items processed, in the step's own unit.
    #[serde(default)]
    pub items: u64,
    /// When it was done, in microseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) done: Option<i64>,
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The name of the [`Reason`](crate::base::error::Reason), without the prefix of the enum.
    pub reason: String,
    /// The public error text.
    pub cause: String,
}

/// The state of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// No step has begun.
    Pending,
    /// A step is running or waits for its next attempt.
    Running,
    /// All steps are done.
    Succeeded,
    /// It ended with [`Operation::failure`].
    Failed,
    /// A caller has cancelled it, and its effects are being undone.
    Cancelling,
    /// It was cancelled, and its effects are undone.
    Cancelled,
}

impl State {
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Running, Self::Succeeded, Self::Failed, Self::Cancelling, Self::Cancelled];

    /// The stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the operation has ended.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

impl FromStr for State {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        let state = Self::ALL.into_iter().find(|state| state.as_str() == word);
        state.ok_or_else(|| Error::internal(format!("unknown state of an operation: {word:?}")))
    }
}

impl Step {
    /// A step that has not begun.
    pub(super) fn named(name: &str) -> Self {
        Self { name: name.to_owned(), items: 0, done: None }
    }

    /// When it was done.
    pub fn done_at(&self) -> Option<OffsetDateTime> {
        self.done.map(|micros| Stamp::from_micros(micros).time())
    }

    pub fn is_done(&self) -> bool {
        self.done.is_some()
    }
}

impl Operation {
    /// The first step that is not done.
    pub fn next_step(&self) -> Option<usize> {
        self.steps.iter().position(|step| !step.is_done())
    }

    /// The name of the step that the last failure was in; `None` if it was in undoing, or after the last step.
    pub fn failed_step(&self) -> Option<&str> {
        let undoes = matches!(self.state, State::Cancelling | State::Cancelled);
        let step = self.next_step().filter(|_| self.failure.is_some() && !undoes)?;
        self.steps.get(step).map(|step| step.name.as_str())
    }
}

impl TryFrom<Model> for Operation {
    type Error = Error;

    fn try_from(row: Model) -> Result<Self> {
        let state: State = row.state.parse()?;
        let retries = row.attempts > 0 && !state.is_final();
        Ok(Self {
            id: row.id,
            kind: row.kind,
            tenant: row.tenant_id,
            target: row.target,
            requested_by: row.requested_by,
            state,
            cancellable: row.cancellable,
            steps: json::from_text(&row.steps)?,
            input: row.input,
            version: row.version,
            attempts: u32::try_from(row.attempts).unwrap_or(u32::MAX),
            internal_failures: u32::try_from(row.internal_failures).unwrap_or(u32::MAX),
            failure: row.cause.map(|cause| Failure { reason: row.reason.unwrap_or_default(), cause }),
            next_attempt_at: retries.then(|| row.due_at.time()),
            created_at: row.created_at.time(),
            updated_at: row.updated_at.time(),
            started_at: row.started_at.map(Stamp::time),
            ended_at: row.ended_at.map(Stamp::time),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stored_name_is_parsed() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse::<State>().unwrap(), state);
        }
        assert!("unknown".parse::<State>().is_err());
    }

    #[test]
    fn a_step_is_stored_without_unset_fields() {
        let step = Step { items: 3, ..Step::named("accounts") };
        assert_eq!(json::to_text(&step).unwrap(), r#"{"name":"accounts","items":3}"#);
        let done = Step { done: Some(1_000_000), ..step };
        assert_eq!(done.done_at(), Some(OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(1)));
        assert_eq!(json::from_text::<Step>(&json::to_text(&done).unwrap()).unwrap(), done);
    }
}
