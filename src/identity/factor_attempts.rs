//! Limits attempts at codes of a second factor, of all servers together: a number of them in a time window (zero-trust
//! contract, section 9).

use std::time::Duration;

use sea_orm::{
    EntityTrait, IntoActiveModel,
    sea_query::{CaseStatement, Expr, ExprTrait, OnConflict},
};
use uuid::Uuid;

use crate::{
    base::{Result, error::Reason},
    identity::{accounts::not_found, backoff::too_many},
    store::{
        Exec, Fetch, Stamp, Store, Tx,
        tables::factor_attempts::{Column, Entity, Model},
    },
};

/// Maximum number of attempts within [`WINDOW`].
const MOST: i64 = 5;
/// It starts with the first attempt.
const WINDOW: Duration = Duration::from_secs(15 * 60);

/// Counts an attempt before it is made, so that concurrent attempts cannot exceed the limit. Fails with
/// RESOURCE_EXHAUSTED and a retry time after too many, and with NOT_FOUND if the account was deleted meanwhile.
pub async fn begin(store: &Store, account: Uuid) -> Result<()> {
    match store.maintain("auth.second_factor", account, count).await {
        Ok(None) => Ok(()),
        Ok(Some(wait)) => Err(too_many(wait)),
        // The row refers to the account. SQLite does not report which side of the reference is missing.
        Err(error) if matches!(error.reason, Reason::TenantNotFound | Reason::TenantInUse) => Err(not_found()),
        Err(error) => Err(error),
    }
}

/// Forgets the attempts on an account after a success, or with its second factor.
pub async fn forget(tx: &Tx, account: Uuid) -> Result<()> {
    Entity::delete_by_id(account).run(tx.conn()).await?;
    Ok(())
}

/// Counts an attempt, or returns how long to wait before the next one.
async fn count(tx: &Tx, account: &Uuid) -> Result<Option<Duration>> {
    // By the clock of the database, because the servers share the window.
    let now = tx.time().await?;
    let first = Model { account_id: *account, attempts: 1, window_ends: Stamp::from(now + WINDOW) };
    let insert = Entity::insert(first.into_active_model()).on_conflict(another(now.into()));
    if insert.run(tx.conn()).await? == 1 {
        return Ok(None);
    }
    let row = Entity::find_by_id(*account).fetch_one(tx.conn()).await?;
    let left = row.map(|row| row.window_ends.time() - now).and_then(|left| left.try_into().ok());
    Ok(Some(left.unwrap_or(Duration::ZERO)))
}

/// What becomes of an earlier row: the first attempt of a new window, or one more of this one, up to the limit.
fn another(now: Stamp) -> OnConflict {
    let column = |column| Expr::col((Entity, column));
    let latest = Stamp::from(now.time() + WINDOW);
    // A window that ends later than any window can was begun before the clock was set back.
    let ended = || column(Column::WindowEnds).lte(now).or(column(Column::WindowEnds).gt(latest));
    let attempts = CaseStatement::new().case(ended(), Expr::value(1)).finally(column(Column::Attempts).add(1));
    let ends = CaseStatement::new().case(ended(), Expr::value(latest)).finally(column(Column::WindowEnds));
    OnConflict::column(Column::AccountId)
        .value(Column::Attempts, attempts)
        .value(Column::WindowEnds, ends)
        .action_and_where(ended().or(column(Column::Attempts).lt(MOST)))
        .to_owned()
}
