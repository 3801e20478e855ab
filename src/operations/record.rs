//! What the worker of an operation records. Each is a write under the lease of the operation.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait, IntoActiveModel, QuerySelect};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{Failure, Operation, State};
use crate::{
    base::{Error, Kind, Result, TenantId, error::Reason},
    jobs::{Lease, Report},
    store::{
        Change, ChangeKind, Resource, Stamp, Tx,
        entities::operations::{ActiveModel, Entity, Model},
        json,
    },
};

/// The change of an operation for those who follow the outbox.
pub(super) fn change(row: &Model, kind: ChangeKind) -> Change {
    let change = Change::new(Resource::Operation, kind, row.id.as_hyphenated().to_string());
    change.within(row.tenant_id.map(TenantId::from_uuid)).at(row.version)
}

/// The row of an operation, which nobody else changes until the write ends.
pub(super) async fn locked(tx: &Tx, id: Uuid) -> Result<Option<Model>> {
    // SQLite has one writer and needs no lock; its dialect leaves the clause out.
    Ok(Entity::find_by_id(id).lock_exclusive().one(tx.conn()).await?)
}

/// Writes a changed row, raises its version and announces the change.
pub(super) async fn put(tx: &Tx, row: Model, changed: impl FnOnce(&mut ActiveModel)) -> Result<Operation> {
    let row = put_quietly(tx, row, changed).await?;
    tx.also_changed(change(&row, ChangeKind::Updated));
    Operation::try_from(row)
}

/// Writes a changed row and raises its version.
async fn put_quietly(tx: &Tx, row: Model, changed: impl FnOnce(&mut ActiveModel)) -> Result<Model> {
    let version = row.version + 1;
    let mut active = row.into_active_model();
    changed(&mut active);
    (active.version, active.updated_at) = (Set(version), Set(Stamp::from(tx.now())));
    Ok(active.update(tx.conn()).await?)
}

/// Forgets the failures since the last progress.
pub(super) fn forget_failures(row: &mut ActiveModel) {
    (row.attempts, row.internal_failures) = (Set(0), Set(0));
    (row.cause, row.reason) = (Set(None), Set(None));
}

/// Begins the work on an operation, or goes on with it. `None` if there is nothing to do, because another server ended or
/// postponed it. Then the lease is given back.
pub(super) async fn begin(tx: &Tx, (lease, id): &(Lease, Uuid)) -> Result<Option<Operation>> {
    let now = tx.time().await?;
    let Some(row) = locked(tx, *id).await?.filter(|row| row.ended_at.is_none()) else {
        lease.remove(tx).await?;
        return Ok(None);
    };
    if row.due_at > Stamp::from(now) {
        lease.free(tx).await?;
        return Ok(None);
    }
    if row.started_at.is_some() {
        return Operation::try_from(row).map(Some);
    }
    let begun = put(tx, row, |row| {
        row.state = Set(State::Running.as_str().to_owned());
        row.started_at = Set(Some(Stamp::from(now)));
    });
    begun.await.map(Some)
}

/// The row of an operation, locked, for the write of a turn. Fails if the operation has changed since the turn began: a
/// write of a turn that was interrupted may still be on its way when the operation is undone or tried again.
pub(super) async fn unchanged(tx: &Tx, id: Uuid, version: i64) -> Result<Model> {
    let row = locked(tx, id).await?.ok_or_else(gone)?;
    if row.version != version {
        return Err(Error::new(Kind::Aborted, Reason::Internal, "the operation has changed since the attempt began"));
    }
    Ok(row)
}

/// Records what a batch of a step did beside the database, and returns the operation.
pub(super) async fn progress_of(tx: &Tx, (id, step, report): &(Uuid, Option<usize>, Report)) -> Result<Operation> {
    progress(tx, locked(tx, *id).await?.ok_or_else(gone)?, *step, *report).await
}

/// Records what a batch of a step, or of undoing, did, and returns the operation. Failures before it are forgotten.
pub(super) async fn progress(tx: &Tx, row: Model, step: Option<usize>, report: Report) -> Result<Operation> {
    let Some(step) = step else { return Operation::try_from(put_quietly(tx, row, forget_failures).await?) };
    let mut operation = Operation::try_from(row.clone())?;
    let Some(step) = operation.steps.get_mut(step) else { return Err(gone()) };
    step.items += report.items;
    if !report.more {
        step.done = Some(Stamp::from(tx.now()).micros());
    }
    let steps = json::to_text(&operation.steps)?;
    let changed = |row: &mut ActiveModel| {
        row.steps = Set(steps);
        forget_failures(row);
    };
    // A step may have thousands of batches: only its end is announced.
    match report.more {
        true => Operation::try_from(put_quietly(tx, row, changed).await?),
        false => put(tx, row, changed).await,
    }
}

/// The next attempt of an operation after a failure.
pub(super) struct Attempt {
    pub id: Uuid,
    pub lease: Lease,
    pub attempts: u32,
    pub internal_failures: u32,
    pub failure: Failure,
    pub delay: Duration,
    /// Whether it was an attempt to undo what the steps did.
    pub undoing: bool,
}

/// Records a failed attempt and gives the lease back until the next one is due. `false`, and nothing is recorded, if the
/// operation was cancelled during the step: it has nothing to wait for.
pub(super) async fn postpone(tx: &Tx, attempt: &Attempt) -> Result<bool> {
    let now = tx.time().await?;
    let row = locked(tx, attempt.id).await?.ok_or_else(gone)?;
    if is_cancelled(&row, attempt.undoing) {
        return Ok(false);
    }
    put(tx, row, |row| {
        row.attempts = Set(i64::from(attempt.attempts));
        row.internal_failures = Set(i64::from(attempt.internal_failures));
        (row.cause, row.reason) = failed(Some(&attempt.failure));
        row.due_at = Set(Stamp::from(now + attempt.delay));
    })
    .await?;
    attempt.lease.free(tx).await?;
    Ok(true)
}

/// The end of an operation.
pub(super) struct End {
    pub id: Uuid,
    pub lease: Lease,
    pub state: State,
    pub failure: Option<Failure>,
    /// Whether it ends after what the steps did was undone, or could not be.
    pub undoing: bool,
}

/// Gives the lease back, so that any server goes on at once.
pub(super) async fn give_back(tx: &Tx, lease: &Lease) -> Result<()> {
    lease.free(tx).await
}

/// Records the end of an operation and removes its lease. `false`, and nothing is recorded, if it was cancelled
/// during its last step: then that is undone first.
pub(super) async fn end(tx: &Tx, end: &End) -> Result<bool> {
    let now: OffsetDateTime = tx.time().await?;
    let row = locked(tx, end.id).await?.ok_or_else(gone)?;
    if is_cancelled(&row, end.undoing) {
        return Ok(false);
    }
    put(tx, row, |row| {
        row.state = Set(end.state.as_str().to_owned());
        row.ended_at = Set(Some(Stamp::from(now)));
        (row.cause, row.reason) = failed(end.failure.as_ref());
    })
    .await?;
    end.lease.remove(tx).await?;
    Ok(true)
}

/// Whether an operation was cancelled during a step.
fn is_cancelled(row: &Model, undoing: bool) -> bool {
    !undoing && row.state == State::Cancelling.as_str()
}

type Text = sea_orm::ActiveValue<Option<String>>;

fn failed(failure: Option<&Failure>) -> (Text, Text) {
    (Set(failure.map(|failure| failure.cause.clone())), Set(failure.map(|failure| failure.reason.clone())))
}

fn gone() -> Error {
    Error::internal("the row of a running operation is gone")
}
