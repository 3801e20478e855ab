//! An operation and its state.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    base::{Error, Result, TenantId},
    store::{Stamp, entities::operations::Model, json},
};

/// An operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its id.
    pub id: Uuid,
    /// Name of its kind.
    pub kind: String,
    /// The tenant that it is about, which may be gone.
    pub tenant: Option<TenantId>,
    /// The name of what it is about.
    pub target: String,
    /// Subject of the caller that asked for it.
    pub requested_by: String,
    /// What it is doing.
    pub state: State,
    /// Whether callers may cancel it.
    pub cancellable: bool,
    /// Its steps, in order.
    pub steps: Vec<Step>,
    /// What its kind needs to know, as JSON.
    pub(super) input: String,
    /// Grows with every change.
    pub version: i64,
    /// Failed attempts since the last progress.
    pub attempts: u32,
    /// Those of them that were internal errors.
    pub(super) internal_failures: u32,
    /// Why the last attempt failed. It stays until there is progress, and for good if the operation failed.
    pub failure: Option<Failure>,
    /// When it is tried next, if an attempt failed and it has not ended.
    pub next_attempt_at: Option<OffsetDateTime>,
    /// When it was asked for.
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
    /// Its name.
    pub name: String,
    /// What it has processed, in its own unit.
    #[serde(default)]
    pub items: u64,
    /// When it was done, in microseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) done: Option<i64>,
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The machine reason, without the prefix of the enum.
    pub reason: String,
    /// The cause, in words for callers.
    pub cause: String,
}

/// What an operation is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// No step has begun.
    Pending,
    /// Its steps run, or wait for their next attempt.
    Running,
    /// All steps are done.
    Succeeded,
    /// It ended without success; `failure` says why.
    Failed,
    /// Somebody cancelled it, and what it did is being undone.
    Cancelling,
    /// It was cancelled.
    Cancelled,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Running, Self::Succeeded, Self::Failed, Self::Cancelling, Self::Cancelled];

    /// The stored word.
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

    /// Whether nothing happens any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

impl FromStr for State {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        let state = Self::ALL.into_iter().find(|state| state.as_str() == word);
        state.ok_or_else(|| Error::internal(format!("an operation has the unknown state {word:?}")))
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

    /// Whether it is done.
    pub fn is_done(&self) -> bool {
        self.done.is_some()
    }
}

impl Operation {
    /// The first step that is not done.
    pub fn next_step(&self) -> Option<usize> {
        self.steps.iter().position(|step| !step.is_done())
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
            tenant: row.tenant_id.map(TenantId::from_uuid),
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
    fn words_lead_back_to_their_state() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse::<State>().unwrap(), state);
        }
        assert!("gone".parse::<State>().is_err());
    }

    #[test]
    fn a_step_is_stored_without_what_it_does_not_have() {
        let step = Step { items: 3, ..Step::named("accounts") };
        assert_eq!(json::to_text(&step).unwrap(), r#"{"name":"accounts","items":3}"#);
        let done = Step { done: Some(1_000_000), ..step };
        assert_eq!(done.done_at(), Some(OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(1)));
        assert_eq!(json::from_text::<Step>(&json::to_text(&done).unwrap()).unwrap(), done);
    }
}
