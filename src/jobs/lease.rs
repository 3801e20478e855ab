//! Leases: work that only one replica may do at a time.
//!
//! A lease is lost by silence, so that the work continues if its holder dies, and has a fence that increases with every
//! holder. Its safety comes from [`Lease::hold`], which checks the fence in the very transaction that does the work and
//! keeps the row locked until it commits. No wall clock decides when to try: a server that waits for a lease watches
//! its row, and takes it when the row has not changed for the whole TTL by the watcher's own monotonic clock.

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
    store::{Stamp, Store, Tx, entities::leases},
};

/// A lease that was taken. It may have been lost since: only [`Lease::hold`] knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    name: Cow<'static, str>,
    holder: String,
    fence: i64,
    ttl: Duration,
}

/// The mark of a released lease.
const FREE: i64 = 0;

/// The part of the row that changes with everything that the holder does.
type Mark = (i64, Stamp);

/// Takes leases for one holder.
#[derive(Debug)]
pub struct Leases {
    store: Store,
    holder: String,
    /// The marks of the leases of others, and when each was seen for the first time, by [`Clock::running`](crate::base::Clock).
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

    /// Takes a lease for `ttl`; `None` if another one holds it. It may be taken from one who was silent for so long since
    /// this value first looked.
    pub async fn take(&self, name: impl Into<Cow<'static, str>>, ttl: Duration) -> Result<Option<Lease>> {
        let name = name.into();
        let found = leases::Entity::find_by_id(name.as_ref()).one(self.store.read()).await?;
        let free = found.as_ref().is_none_or(|row| {
            let mark = (row.fence, row.expires_at);
            row.expires_at.micros() == FREE || row.holder == self.holder || self.is_silent(name.clone(), mark, ttl)
        });
        if !free {
            return Ok(None);
        }
        let wanted = Lease { name, holder: self.holder.clone(), fence: 1, ttl };
        self.store.maintain("lease.take", (wanted, found), take_in).await
    }

    /// Forgets what was seen of all leases but these: for leases of things that come and go.
    pub fn retain(&self, wanted: impl Fn(&str) -> bool) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| wanted(name));
    }

    /// Whether a lease has had the same mark for so long.
    fn is_silent(&self, name: Cow<'static, str>, mark: Mark, ttl: Duration) -> bool {
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
    /// Renews the lease in a write and prevents others from taking it until the write ends. `false` if it was lost: the
    /// write must not continue.
    pub async fn hold(&self, tx: &Tx) -> Result<bool> {
        let renewed = self.row().col_expr(leases::Column::ExpiresAt, next_mark(tx, self.ttl));
        Ok(renewed.exec(tx.conn()).await?.rows_affected == 1)
    }

    /// Renews the lease in a separate write; `false` if it was lost.
    pub async fn renew(&self, store: &Store) -> Result<bool> {
        store.maintain("lease.renew", self.clone(), hold_in).await
    }

    /// Releases the lease, so that the next holder need not wait for its expiry. The fence stays.
    pub async fn release(self, store: &Store) -> Result<()> {
        store.maintain("lease.release", self, free_in).await
    }

    /// As [`release`](Self::release), inside a write that ends the work.
    pub async fn free(&self, tx: &Tx) -> Result<()> {
        let free = self.row().col_expr(leases::Column::ExpiresAt, Expr::value(FREE));
        free.exec(tx.conn()).await.map(drop).map_err(Error::from)
    }

    /// Removes the lease inside a write that ends what it was for: nobody takes it again.
    pub async fn remove(&self, tx: &Tx) -> Result<()> {
        let own = leases::Entity::delete_many()
            .filter(leases::Column::Name.eq(self.name.as_ref()))
            .filter(leases::Column::Holder.eq(self.holder.as_str()))
            .filter(leases::Column::Fence.eq(self.fence));
        own.exec(tx.conn()).await.map(drop).map_err(Error::from)
    }

    /// One that nobody gave, for tests without a database.
    #[cfg(test)]
    pub(super) fn of_test(name: &'static str, fence: i64) -> Self {
        Self { name: name.into(), holder: "it".to_owned(), fence, ttl: Duration::from_secs(10) }
    }

    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// How long it survives without a renewal.
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

/// Takes a lease if its row has not changed.
async fn take_in(tx: &Tx, (wanted, found): &(Lease, Option<leases::Model>)) -> Result<Option<Lease>> {
    let Lease { name, holder, ttl, .. } = wanted;
    let taken = match found {
        None => first(tx, name, holder, *ttl).await?.then_some(1),
        Some(row) => after(tx, row.clone(), holder, *ttl).await?,
    };
    Ok(taken.map(|fence| Lease { fence, ..wanted.clone() }))
}

async fn hold_in(tx: &Tx, lease: &Lease) -> Result<bool> {
    lease.hold(tx).await
}

async fn free_in(tx: &Tx, lease: &Lease) -> Result<()> {
    lease.free(tx).await
}

/// Takes a lease without a row; `false` if another server was first.
async fn first(tx: &Tx, name: &str, holder: &str, ttl: Duration) -> Result<bool> {
    let (name, holder) = (name.to_owned(), holder.to_owned());
    let row = leases::Model { name, holder, fence: 1, expires_at: Stamp::from(tx.now() + ttl) };
    let taken = OnConflict::column(leases::Column::Name).do_nothing().to_owned();
    let insert = leases::Entity::insert(row.into_active_model()).on_conflict(taken);
    Ok(insert.exec_without_returning(tx.conn()).await? == 1)
}

/// Takes a lease if its row has not changed; `None` if its holder, or another server, was faster. Returns the new
/// fence.
async fn after(tx: &Tx, seen: leases::Model, holder: &str, ttl: Duration) -> Result<Option<i64>> {
    let taken = leases::Entity::update_many()
        .col_expr(leases::Column::Holder, Expr::value(holder))
        .col_expr(leases::Column::Fence, Expr::value(seen.fence + 1))
        .col_expr(leases::Column::ExpiresAt, next_mark(tx, ttl))
        .filter(leases::Column::Name.eq(seen.name))
        .filter(leases::Column::Fence.eq(seen.fence))
        .filter(leases::Column::ExpiresAt.eq(seen.expires_at));
    Ok((taken.exec(tx.conn()).await?.rows_affected == 1).then_some(seen.fence + 1))
}

/// When the lease expires by the holder's clock. Others only check whether it changes, so it increases whatever that
/// clock does.
fn next_mark(tx: &Tx, ttl: Duration) -> Expr {
    let (column, end) = (Expr::col(leases::Column::ExpiresAt), Stamp::from(tx.now() + ttl));
    CaseStatement::new().case(column.clone().lt(end), Expr::value(end)).finally(column.add(1)).into()
}
