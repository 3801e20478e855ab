//! The start of an operation.

use sea_orm::{ActiveValue::Set, EntityTrait, IntoActiveModel};
use uuid::Uuid;

use super::{
    OperationKind, State, Step, StepName,
    record::{change, forget_failures, locked, put},
};
use crate::{
    base::{Result, TenantId},
    store::{
        ChangeKind, Exec, Stamp, Tx,
        audit::storable,
        json,
        tables::operations::{Entity, Model},
    },
};

/// Starts an operation inside the write of a call, and returns its id. It runs after the write has committed. The call records its
/// own audit event; the operation is a part of that change. `target` is the name of the resource that the operation works on.
pub async fn start<K: OperationKind>(
    tx: &Tx,
    tenant: Option<TenantId>,
    target: impl Into<String>,
    input: &K::Input,
) -> Result<Uuid> {
    let now = Stamp::from(tx.now());
    let steps: Vec<_> = K::STEPS.iter().map(|step| Step::named(step.as_str())).collect();
    let cx = tx.cx();
    let row = Model {
        id: tx.new_id(),
        kind: K::NAME.to_owned(),
        tenant_id: tenant,
        target: target.into(),
        requested_by: storable(&cx.caller.subject),
        request_id: storable(&cx.request_id),
        state: State::Pending.as_str().to_owned(),
        cancellable: K::CANCELLABLE,
        steps: json::to_text(&steps)?,
        input: json::to_text(input)?,
        version: 1,
        attempts: 0,
        internal_failures: 0,
        cause: None,
        reason: None,
        // Due at once, whatever the clocks of the servers say.
        due_at: Stamp::from_micros(0),
        created_at: now,
        updated_at: now,
        started_at: None,
        ended_at: None,
    };
    tx.also_changed(change(&row, ChangeKind::Created));
    tx.wake_operations();
    let id = row.id;
    Entity::insert(row.into_active_model()).run(tx.conn()).await?;
    Ok(id)
}

/// Makes the next attempt of an operation due now, in the write of a call that requests the same again. One that does not wait for an
/// attempt stays as it is.
pub async fn hasten(tx: &Tx, id: Uuid) -> Result<()> {
    let now = Stamp::from(tx.time().await?);
    let waits = |row: &Model| row.ended_at.is_none() && row.attempts > 0 && row.due_at > now;
    let Some(row) = locked(tx, id).await?.filter(waits) else { return Ok(()) };
    put(tx, row, |row| {
        row.due_at = Set(Stamp::from_micros(0));
        forget_failures(row);
    })
    .await?;
    tx.wake_operations();
    Ok(())
}
