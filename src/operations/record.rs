//! The writes of the worker of an operation. Each runs under the lease of the operation.

use std::time::Duration;

use sea_orm::{ActiveValue::Set, EntityTrait, IntoActiveModel, QuerySelect};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Failure, Operation, State, Step};
use crate::{
    base::{Error, Kind, Result, error::Reason},
    jobs::{Lease, Report},
    store::{
        Change, ChangeKind, Fetch, Resource, Stamp, Tx, UpdateRow, json,
        tables::operations::{ActiveModel, Entity, Model},
    },
};

/// How often progress within a step has an outbox event, in microseconds.
const EVENT_EVERY: i64 = 1_000_000;

/// The change of an operation for consumers of the outbox.
pub(super) fn change(row: &Model, kind: ChangeKind) -> Change {
    let change = Change::new(Resource::Operation, kind, row.id.as_hyphenated().to_string());
    change.within(row.tenant_id).at(row.version)
}

/// The row of an operation, locked until the write ends.
pub(super) async fn locked(tx: &Tx, id: Uuid) -> Result<Option<Model>> {
    // SQLite has one writer and needs no lock; its dialect omits the clause.
    Ok(Entity::find_by_id(id).lock_exclusive().fetch_one(tx.conn()).await?)
}

/// Updates a row, increments its version and records the change in the outbox.
pub(super) async fn put(tx: &Tx, row: Model, changed: impl FnOnce(&mut ActiveModel)) -> Result<Operation> {
    let row = put_without_event(tx, row, changed).await?;
    tx.also_changed(change(&row, ChangeKind::Updated));
    Operation::try_from(row)
}

/// Updates a row and increments its version.
async fn put_without_event(tx: &Tx, row: Model, changed: impl FnOnce(&mut ActiveModel)) -> Result<Model> {
    let version = row.version + 1;
    let mut active = row.into_active_model();
    changed(&mut active);
    (active.version, active.updated_at) = (Set(version), Set(Stamp::from(tx.now())));
    Ok(active.update_row(tx.conn()).await?)
}

/// Clears the failures since the last progress.
pub(super) fn forget_failures(row: &mut ActiveModel) {
    (row.attempts, row.internal_failures) = (Set(0), Set(0));
    (row.cause, row.reason) = (Set(None), Set(None));
}

/// Begins or continues an operation. `None` if there is nothing to do, because another server has ended or postponed it; then the
/// lease is released.
pub(super) async fn begin(tx: &Tx, (lease, id): &(Lease, Uuid)) -> Result<Option<Operation>> {
    let now = tx.time().await?;
    let Some(row) = locked(tx, *id).await?.filter(|row| row.ended_at.is_none()) else {
        lease.remove(tx).await?;
        return Ok(None);
    };
    if row.due_at > Stamp::from(now) {
        lease.release_in(tx).await?;
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

/// The locked row of an operation, for the write of a turn. Fails if the operation has changed since the turn began: the write of
/// an interrupted turn may still be queued when the operation is undone or tried again.
pub(super) async fn unchanged(tx: &Tx, id: Uuid, version: i64) -> Result<Model> {
    let row = locked(tx, id).await?.ok_or_else(missing)?;
    if row.version != version {
        return Err(Error::new(Kind::Aborted, Reason::Internal, "the operation has changed since the attempt began"));
    }
    Ok(row)
}

/// As [`progress`], for a batch whose effects are outside of the database.
pub(super) async fn progress_of(tx: &Tx, (id, step, report): &(Uuid, Option<usize>, Report)) -> Result<Operation> {
    progress(tx, locked(tx, *id).await?.ok_or_else(missing)?, *step, *report).await
}

/// Records the progress of a batch of a step, or of undoing if `step` is `None`, clears the failures, and returns the operation.
pub(super) async fn progress(tx: &Tx, row: Model, step: Option<usize>, report: Report) -> Result<Operation> {
    let Some(step) = step else { return Operation::try_from(put_without_event(tx, row, forget_failures).await?) };
    let mut operation = Operation::try_from(row.clone())?;
    let Some(step) = operation.steps.get_mut(step) else { return Err(missing()) };
    step.items += report.items;
    if !report.more {
        step.done = Some(Stamp::from(tx.now()).micros());
    }
    let steps = json::to_text(&operation.steps)?;
    let changed = |row: &mut ActiveModel| {
        row.steps = Set(steps);
        forget_failures(row);
    };
    // A step may have thousands of batches. Its end has an outbox event, and its progress one a second.
    match report.more && !is_event_due(&operation, row.updated_at, tx.now().into()) {
        true => Operation::try_from(put_without_event(tx, row, changed).await?),
        false => put(tx, row, changed).await,
    }
}

/// Whether a second, counted from the beginning of the current step, has ended since the last change.
fn is_event_due(operation: &Operation, changed: Stamp, now: Stamp) -> bool {
    let done = operation.steps.iter().filter_map(Step::done_at).max();
    let Some(begun) = done.or(operation.started_at).map(Stamp::from) else { return false };
    let second = |at: Stamp| (at.micros() - begun.micros()).div_euclid(EVENT_EVERY);
    second(now) > second(changed)
}

/// The next attempt of an operation after a failure.
pub(super) struct Attempt {
    pub id: Uuid,
    pub lease: Lease,
    pub attempts: u32,
    pub internal_failures: u32,
    pub failure: Failure,
    pub delay: Duration,
    /// Whether the attempt was undoing the steps.
    pub undoing: bool,
}

/// Records a failed attempt and releases the lease until the next one is due. `false`, and nothing is recorded, if the operation
/// was cancelled during the step; then undoing starts without a delay.
pub(super) async fn postpone(tx: &Tx, attempt: &Attempt) -> Result<bool> {
    let now = tx.time().await?;
    let row = locked(tx, attempt.id).await?.ok_or_else(missing)?;
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
    attempt.lease.release_in(tx).await?;
    Ok(true)
}

/// The end of an operation.
pub(super) struct End {
    pub id: Uuid,
    pub lease: Lease,
    pub state: State,
    pub failure: Option<Failure>,
    /// Whether the operation was undoing its steps.
    pub undoing: bool,
}

/// Releases the lease, so that any server can continue at once.
pub(super) async fn release(tx: &Tx, lease: &Lease) -> Result<()> {
    lease.release_in(tx).await
}

/// Records the end of an operation and removes its lease. `false`, and nothing is recorded, if it was cancelled during its last
/// step; then its steps are undone first.
pub(super) async fn end(tx: &Tx, end: &End) -> Result<bool> {
    let now: OffsetDateTime = tx.time().await?;
    let row = locked(tx, end.id).await?.ok_or_else(missing)?;
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

pub(super) fn missing() -> Error {
    Error::internal("a running operation has no row")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_has_an_event_in_each_second_of_a_step() {
        let at = |seconds: f64| Stamp::from_micros((seconds * 1e6) as i64);
        let step = |name: &str, done: Option<f64>| {
            json::from_text::<Step>(&match done {
                Some(done) => format!(r#"{{"name":"{name}","done":{}}}"#, at(done).micros()),
                None => format!(r#"{{"name":"{name}"}}"#),
            })
        };
        let operation = |steps: Vec<Step>| {
            let row = Model {
                id: Uuid::nil(),
                kind: String::new(),
                tenant_id: None,
                target: String::new(),
                requested_by: String::new(),
                request_id: String::new(),
                state: "running".to_owned(),
                cancellable: false,
                steps: json::to_text(&steps).unwrap(),
                input: String::new(),
                version: 1,
                attempts: 0,
                internal_failures: 0,
                cause: None,
                reason: None,
                due_at: at(0.0),
                created_at: at(0.0),
                updated_at: at(0.0),
                started_at: Some(at(10.5)),
                ended_at: None,
            };
            Operation::try_from(row).unwrap()
        };
        let first = operation(vec![step("one", None).unwrap(), step("two", None).unwrap()]);
        let second = operation(vec![step("one", Some(20.7)).unwrap(), step("two", None).unwrap()]);
        for (operation, changed, now, due) in [
            (&first, 10.5, 11.4, false),
            (&first, 11.4, 11.6, true),
            (&first, 11.6, 12.4, false),
            (&first, 11.6, 17.0, true),
            (&second, 20.7, 21.6, false),
            (&second, 21.6, 21.8, true),
        ] {
            assert_eq!(is_event_due(operation, at(changed), at(now)), due, "{changed} {now}");
        }
    }
}
