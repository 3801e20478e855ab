//! The cancellation of an operation.

use sea_orm::ActiveValue::Set;
use serde_json::json;
use uuid::Uuid;

use super::{
    Operation, State, queries,
    record::{forget_failures, locked, put},
};
use crate::{
    base::{Cx, Error, Result, error::Reason},
    store::{Stamp, Store, Tx},
};

/// Cancels an operation. If it has not begun, it ends at once. If it is running, its step is interrupted, and its effects are
/// undone as far as its kind supports that. If it is being cancelled already, nothing changes. Fails with FAILED_PRECONDITION if
/// it has ended, or if its kind cannot be cancelled.
pub async fn cancel(cx: &Cx, store: &Store, id: Uuid) -> Result<Operation> {
    store.write(cx, id, cancel_in).await
}

async fn cancel_in(tx: &Tx, id: &Uuid) -> Result<Operation> {
    let row = locked(tx, *id).await?.ok_or_else(queries::not_found)?;
    let before = Operation::try_from(row.clone())?;
    queries::check_reach(tx.cx(), &before)?;
    if before.state == State::Cancelling {
        tx.audit_only(before.tenant, before.id.to_string(), json!({"kind": before.kind}));
        return Ok(before);
    }
    if before.state.is_final() {
        let message = format!("the operation has already ended; its state is {}", before.state.as_str());
        return Err(Error::precondition(Reason::OperationEnded, message));
    }
    if !before.cancellable {
        let message = format!("operations of kind {} cannot be cancelled", before.kind);
        return Err(Error::precondition(Reason::OperationNotCancellable, message));
    }
    let begun = row.started_at.is_some();
    let now = Stamp::from(tx.time().await?);
    let state = if begun { State::Cancelling } else { State::Cancelled };
    tx.wake_operations();
    tx.audit_only(before.tenant, before.id.to_string(), json!({"kind": before.kind, "target": before.target}));
    put(tx, row, |row| {
        row.state = Set(state.as_str().to_owned());
        match begun {
            // Due at once, whatever the clocks of the servers say.
            true => {
                row.due_at = Set(Stamp::from_micros(0));
                // They are the failures of the step. Undoing starts with its own attempts.
                forget_failures(row);
            }
            false => row.ended_at = Set(Some(now)),
        }
    })
    .await
}
