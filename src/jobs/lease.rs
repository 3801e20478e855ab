//! Leases: work that only one replica may do at a time.
//!
//! A lease that is not renewed expires, so the work continues if its holder dies. Its fence increases with every holder.
//! [`Lease::hold`] checks the fence in the same transaction as the work and keeps the row locked until the commit, so a stale
//! holder cannot commit. Expiry does not depend on wall clocks: a server that waits for a lease takes it when the row has not
//! changed for the whole TTL, measured by the waiting server's monotonic clock.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use sea_orm::{
    ColumnTrait, EntityTrait, ExprTrait, IntoActiveModel, QueryFilter, UpdateMany,
    sea_query::{CaseStatement, Expr, OnConflict},
};

use crate::{
    base::{Error, Result},
    store::{Exec, Fetch, Stamp, Store, Tx, tables::leases},
};

/// A lease that was taken. It may have been lost since then; only [`Lease::hold`] finds out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    name: Cow<'static, str>,
    holder: String,
    fence: i64,
    ttl: Duration,
}

/// The `expires_at` of a released lease.
const FREE: i64 = 0;

/// The columns `fence` and `expires_at`: one of them changes with every takeover, renewal and release.
type Mark = (i64, Stamp);

/// Takes leases for one holder.
#[derive(Debug)]
pub struct Leases {
    store: Store,
    holder: String,
    /// The marks of leases of other holders, and when each was first seen, by [`Clock::running`](crate::base::Clock).
    seen: Mutex<HashMap<Cow<'static, str>, (Mark, Duration)>>,
}

impl Leases {
    /// For a holder with a unique name.
    pub fn new(store: &Store, holder: impl Into<String>) -> Self {
        Self { store: store.clone(), holder: holder.into(), seen: Mutex::default() }
    }

    /// The name of the holder.
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// Takes a lease for `ttl`; `None` if another holder has it. A lease of another holder is taken over if it has not been
    /// renewed for `ttl` since this value first saw it.
    pub async fn take(&self, name: impl Into<Cow<'static, str>>, ttl: Duration) -> Result<Option<Lease>> {
        let name = name.into();
        let found = leases::Entity::find_by_id(name.as_ref()).fetch_one(self.store.read()).await?;
        let free = found.as_ref().is_none_or(|row| {
            let mark = (row.fence, row.expires_at);
            row.expires_at.micros() == FREE || row.holder == self.holder || self.is_expired(name.clone(), mark, ttl)
        });
        if !free {
            return Ok(None);
        }
        let wanted = Lease { name, holder: self.holder.clone(), fence: 1, ttl };
        self.store.maintain("lease.take", (wanted, found), take_in).await
    }

    /// Forgets all leases for which `wanted` is false. For leases with names that are not used again.
    pub fn retain(&self, wanted: impl Fn(&str) -> bool) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| wanted(name));
    }

    /// Whether a lease has had the same mark for `ttl`.
    fn is_expired(&self, name: Cow<'static, str>, mark: Mark, ttl: Duration) -> bool {
        let now = self.store.clock().running();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, since) = seen.entry(name).or_insert((mark, now));
        if *known != mark {
            (*known, *since) = (mark, now);
        }
        now.saturating_sub(*since) >= ttl
    }
}

impl Lease {
    /// How long the leases of jobs and operations are valid without a renewal.
    pub const TTL: Duration = Duration::from_secs(10);
    /// How often they are renewed during the work.
    pub const RENEW_EVERY: Duration = Duration::from_secs(3);

    /// Renews the lease inside a write and locks its row until the write ends. `false` if the lease is lost; then the write must
    /// not continue.
    pub async fn hold(&self, tx: &Tx) -> Result<bool> {
        // A released lease stays released, even if a write of its work comes late.
        let held = self.row().filter(leases::Column::ExpiresAt.ne(Stamp::from_micros(FREE)));
        let renewed = held.col_expr(leases::Column::ExpiresAt, next_mark(tx, self.ttl));
        Ok(renewed.run(tx.conn()).await? == 1)
    }

    /// Renews the lease in a separate write; `false` if it is lost.
    pub async fn renew(&self, store: &Store) -> Result<bool> {
        store.maintain("lease.renew", self.clone(), hold_in).await
    }

    /// Releases the lease, so that the next holder does not have to wait for its expiry. The fence is kept.
    pub async fn release(self, store: &Store) -> Result<()> {
        store.maintain("lease.release", self, free_in).await
    }

    /// As [`release`](Self::release), inside a write that ends the work.
    pub async fn release_in(&self, tx: &Tx) -> Result<()> {
        let free = self.row().col_expr(leases::Column::ExpiresAt, Expr::value(FREE));
        free.run(tx.conn()).await.map(drop).map_err(Error::from)
    }

    /// Deletes the row inside a write that ends the work, if the lease will never be taken again.
    pub async fn remove(&self, tx: &Tx) -> Result<()> {
        let own = leases::Entity::delete_many()
            .filter(leases::Column::Name.eq(self.name.as_ref()))
            .filter(leases::Column::Holder.eq(self.holder.as_str()))
            .filter(leases::Column::Fence.eq(self.fence));
        own.run(tx.conn()).await.map(drop).map_err(Error::from)
    }

    /// A lease for tests without a database.
    #[cfg(test)]
    pub(super) fn of_test(name: &'static str, fence: i64) -> Self {
        Self { name: name.into(), holder: "it".to_owned(), fence, ttl: Duration::from_secs(10) }
    }

    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// How long it is valid without a renewal.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    fn row(&self) -> UpdateMany<leases::Entity> {
        leases::Entity::update_many()
            .filter(leases::Column::Name.eq(self.name.as_ref()))
            .filter(leases::Column::Holder.eq(self.holder.as_str()))
            .filter(leases::Column::Fence.eq(self.fence))
    }
}

/// Takes a lease if its row has not changed since it was read.
async fn take_in(tx: &Tx, (wanted, found): &(Lease, Option<leases::Model>)) -> Result<Option<Lease>> {
    let Lease { name, holder, ttl, .. } = wanted;
    let taken = match found {
        None => insert(tx, name, holder, *ttl).await?.then_some(1),
        Some(row) => take_over(tx, row.clone(), holder, *ttl).await?,
    };
    Ok(taken.map(|fence| Lease { fence, ..wanted.clone() }))
}

async fn hold_in(tx: &Tx, lease: &Lease) -> Result<bool> {
    lease.hold(tx).await
}

async fn free_in(tx: &Tx, lease: &Lease) -> Result<()> {
    lease.release_in(tx).await
}

/// Takes a lease that has no row; `false` if another server was faster.
async fn insert(tx: &Tx, name: &str, holder: &str, ttl: Duration) -> Result<bool> {
    let (name, holder) = (name.to_owned(), holder.to_owned());
    let row = leases::Model { name, holder, fence: 1, expires_at: Stamp::from(tx.now() + ttl) };
    let taken = OnConflict::column(leases::Column::Name).do_nothing().to_owned();
    let insert = leases::Entity::insert(row.into_active_model()).on_conflict(taken);
    Ok(insert.run(tx.conn()).await? == 1)
}

/// Takes a lease if its row has not changed, and returns the new fence; `None` if its holder, or another server, was faster.
async fn take_over(tx: &Tx, seen: leases::Model, holder: &str, ttl: Duration) -> Result<Option<i64>> {
    let taken = leases::Entity::update_many()
        .col_expr(leases::Column::Holder, Expr::value(holder))
        .col_expr(leases::Column::Fence, Expr::value(seen.fence + 1))
        .col_expr(leases::Column::ExpiresAt, next_mark(tx, ttl))
        .filter(leases::Column::Name.eq(seen.name))
        .filter(leases::Column::Fence.eq(seen.fence))
        .filter(leases::Column::ExpiresAt.eq(seen.expires_at));
    Ok((taken.run(tx.conn()).await? == 1).then_some(seen.fence + 1))
}

/// The new `expires_at`, by the holder's clock. Other servers only check whether it changes, so it increases even if that clock
/// was set back.
fn next_mark(tx: &Tx, ttl: Duration) -> Expr {
    let (column, end) = (Expr::col(leases::Column::ExpiresAt), Stamp::from(tx.now() + ttl));
    CaseStatement::new().case(column.clone().lt(end), Expr::value(end)).finally(column.add(1)).into()
}
