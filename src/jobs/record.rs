//! The table `jobs`: when each leased job is due, and the results of its runs. All times are from the clock of the database, so
//! servers agree even if their own clocks differ.

use std::time::Duration;

use sea_orm::{
    ColumnTrait, EntityTrait, ExprTrait, IntoActiveModel, QueryFilter, QueryOrder, UpdateMany,
    sea_query::{CaseStatement, Expr},
};
use time::OffsetDateTime;

use super::{Lease, Placement};
use crate::{
    base::{Cx, Result},
    store::{
        Exec, Fetch, Stamp, Store, Tx,
        tables::jobs::{Column, Entity, Model},
    },
};

/// The result of starting a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    Begun,
    /// Another server has run it in the meantime; it is due after this time.
    NotDue(Duration),
    /// The lease is lost.
    Lost,
}

/// The runs since the last record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RunSummary {
    pub runs: u64,
    pub failures: u64,
    pub items: u64,
    /// The error of the last run; `None` if it succeeded.
    pub error: Option<String>,
    /// The delay until the next run.
    pub next: Duration,
    /// Whether the server keeps the lease.
    pub keep: bool,
}

/// The rows of all jobs that have run or were requested, by name.
pub async fn all(store: &Store) -> Result<Vec<Model>> {
    Ok(Entity::find().order_by_asc(Column::Job).fetch_all(store.read()).await?)
}

/// Makes a job due now. A server runs it the next time it checks.
pub async fn request(store: &Store, cx: &Cx, name: &'static str) -> Result<()> {
    store.write(cx, name, request_in).await
}

async fn request_in(tx: &Tx, name: &&'static str) -> Result<()> {
    let now = Stamp::from(tx.time().await?);
    let due = row(name).col_expr(Column::NextRun, Expr::value(now)).run(tx.conn()).await?;
    if due == 0 {
        insert(tx, name, "", None, now).await?;
    }
    tx.audit_only(None, *name, serde_json::json!({}));
    Ok(())
}

/// The time until a job is due; `None` if it is due now.
pub(super) async fn wait(store: &Store, name: &str, longest: Duration) -> Result<Option<Duration>> {
    match Entity::find_by_id(name).fetch_one(store.read()).await? {
        None => Ok(None),
        Some(row) => Ok(left(&row, store.time().await?, longest)),
    }
}

/// The time until a job is due; `None` if it is due now. A time longer than `longest` means that the clock of the database was set
/// back; then the job is due.
fn left(row: &Model, now: OffsetDateTime, longest: Duration) -> Option<Duration> {
    let left = Duration::try_from(row.next_run.time() - now).ok()?;
    (!left.is_zero() && left <= longest).then_some(left)
}

/// Records the start of a run. With `longest_pause`, only if the job is due; if it is not, the lease is released.
pub(super) async fn begin(
    store: &Store,
    lease: &Lease,
    name: &'static str,
    longest_pause: Option<Duration>,
) -> Result<Begin> {
    store.maintain("jobs.begin", (lease.clone(), name, longest_pause), begin_in).await
}

async fn begin_in(tx: &Tx, (lease, name, longest_pause): &(Lease, &'static str, Option<Duration>)) -> Result<Begin> {
    if !lease.hold(tx).await? {
        return Ok(Begin::Lost);
    }
    let (found, time) = (Entity::find_by_id(*name).fetch_one(tx.conn()).await?, tx.time().await?);
    if let (Some(found), Some(longest)) = (&found, longest_pause)
        && let Some(wait) = left(found, time, *longest)
    {
        lease.release_in(tx).await?;
        return Ok(Begin::NotDue(wait));
    }
    let (now, holder) = (Stamp::from(time), lease.holder());
    if found.is_none() {
        insert(tx, name, holder, Some(now), now).await?;
        return Ok(Begin::Begun);
    }
    // The job stays due until its end is recorded, so another server repeats the run if this one dies.
    let begun = row(name)
        .col_expr(Column::Holder, Expr::value(holder))
        .col_expr(Column::LastStart, Expr::value(now))
        .col_expr(Column::NextRun, Expr::value(now));
    begun.run(tx.conn()).await?;
    Ok(Begin::Begun)
}

/// Records the outcome of runs, and releases the lease unless the server keeps it. `false` if the lease is lost.
pub(super) async fn end(
    store: &Store,
    lease: &Lease,
    name: &'static str,
    placement: Placement,
    ended: RunSummary,
) -> Result<bool> {
    store.maintain("jobs.end", (lease.clone(), name, placement, ended), end_in).await
}

async fn end_in(
    tx: &Tx,
    (lease, name, placement, ended): &(Lease, &'static str, Placement, RunSummary),
) -> Result<bool> {
    if !lease.hold(tx).await? {
        return Ok(false);
    }
    let now = tx.time().await?;
    outcome(name, now.into(), ended)
        .col_expr(Column::NextRun, next_run((now + ended.next).into(), *placement))
        .run(tx.conn())
        .await?;
    if !ended.keep {
        lease.release_in(tx).await?;
    }
    Ok(true)
}

fn outcome(name: &str, now: Stamp, ended: &RunSummary) -> UpdateMany<Entity> {
    let more = |column: Column, by: u64| Expr::col(column).add(i64::try_from(by).unwrap_or(i64::MAX));
    let update = row(name)
        .col_expr(Column::LastEnd, Expr::value(now))
        .col_expr(Column::Runs, more(Column::Runs, ended.runs))
        .col_expr(Column::Failures, more(Column::Failures, ended.failures))
        .col_expr(Column::Items, more(Column::Items, ended.items));
    match &ended.error {
        Some(error) => update
            .col_expr(Column::LastFailure, Expr::value(now))
            .col_expr(Column::LastError, Expr::value(error.as_str())),
        None if ended.runs > ended.failures => update.col_expr(Column::LastSuccess, Expr::value(now)),
        None => update,
    }
}

/// The time of the next run. A request after the start of this run (`tenantry jobs run`) is kept.
fn next_run(next: Stamp, placement: Placement) -> Expr {
    if placement == Placement::Leader {
        return Expr::value(next);
    }
    let requested = Expr::col(Column::NextRun).gt(Expr::col(Column::LastStart));
    CaseStatement::new().case(requested, Expr::col(Column::NextRun)).finally(next).into()
}

fn row(name: &str) -> UpdateMany<Entity> {
    Entity::update_many().filter(Column::Job.eq(name))
}

/// Inserts the row of a job.
async fn insert(tx: &Tx, name: &str, holder: &str, last_start: Option<Stamp>, next_run: Stamp) -> Result<()> {
    let row = Model {
        job: name.to_owned(),
        holder: holder.to_owned(),
        last_start,
        last_end: None,
        last_success: None,
        last_failure: None,
        last_error: None,
        runs: 0,
        failures: 0,
        items: 0,
        next_run,
    };
    Entity::insert(row.into_active_model()).run(tx.conn()).await?;
    Ok(())
}
