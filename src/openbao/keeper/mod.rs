//! The leases that this server holds for its own work.
//!
//! A role has one current lease, which all work in this process shares. It is renewed after two thirds of its time, revoked when it
//! was not used for a while or when too many are held, and revoked at the end of the server. One heap has the times at which leases
//! need something; nothing waits for a single lease.

mod held;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{StreamExt, stream};
use tokio::{sync::Mutex as Turn, time::Instant};

use self::held::{Due, Held, Task};
use super::{
    address::Name,
    call::Call,
    client::OpenBao,
    database::Credentials,
    error::{Cause, OpenBaoError, Result},
    leases::Lease,
};
use crate::jobs::{Report, backoff};

/// How many leases one step renews or revokes, and how many of them at the same time.
const BATCH: usize = 256;
const CONCURRENT: usize = 8;
/// The delay after the first failure, and the longest one.
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// What the keeper asks of OpenBAO.
pub trait Lessor: Send + Sync + 'static {
    fn lease(&self, role: &Name) -> impl Future<Output = Result<Credentials>> + Send;
    fn renew(&self, lease: &str, by: Duration) -> impl Future<Output = Result<Lease>> + Send;
    fn revoke(&self, lease: &str) -> impl Future<Output = Result<()>> + Send;
    /// The number of the current token. Leases of an earlier one end with it.
    fn generation(&self) -> u64;
}

impl Lessor for OpenBao {
    async fn lease(&self, role: &Name) -> Result<Credentials> {
        self.lease_credentials(role).await
    }

    async fn renew(&self, lease: &str, by: Duration) -> Result<Lease> {
        self.renew_lease(lease, by).await
    }

    async fn revoke(&self, lease: &str) -> Result<()> {
        self.revoke_lease(lease).await
    }

    fn generation(&self) -> u64 {
        self.identity().generation()
    }
}

/// Limits of a keeper.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Most leases. If there are more, those that were not used for the longest time are revoked.
    pub most: usize,
    /// A lease that was not used for this long is revoked.
    pub idle: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { most: 20_000, idle: Duration::from_secs(600) }
    }
}

/// The keeper. Cheap to clone; clones share the leases.
pub struct LeaseKeeper<L = OpenBao>(Arc<Inner<L>>);

impl<L> Clone for LeaseKeeper<L> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct Inner<L> {
    lessor: L,
    held: Mutex<Held>,
    /// The roles that are being leased: concurrent callers of one role wait for one lease.
    leasing: Mutex<HashMap<Name, Arc<Turn<()>>>>,
}

impl<L: Lessor> LeaseKeeper<L> {
    pub fn new(lessor: L, bounds: Bounds) -> Self {
        Self(Arc::new(Inner { lessor, held: Mutex::new(Held::new(bounds)), leasing: Mutex::default() }))
    }

    /// A login of a role, which is kept valid as long as it is used. Ask again for each connection: the login may have changed.
    pub async fn credentials(&self, role: &Name) -> Result<Arc<Credentials>> {
        if let Some(credentials) = self.current(role)? {
            return Ok(credentials);
        }
        let turn = lock(&self.0.leasing).entry(role.clone()).or_default().clone();
        let leased = {
            let _turn = turn.lock().await;
            match self.current(role)? {
                Some(credentials) => Ok(credentials),
                None => self.lease(role).await,
            }
        };
        drop(turn);
        let mut leasing = lock(&self.0.leasing);
        if leasing.get(role).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            leasing.remove(role);
        }
        leased
    }

    /// Revokes the login of a role: the database refused it, or its tenant is suspended. If it cannot be revoked now, that is tried
    /// again until it expires; it is not used again in any case.
    pub async fn evict(&self, role: &Name) -> Result<()> {
        let Some(due) = self.held().evict(role) else { return Ok(()) };
        self.perform(due).await
    }

    /// The number of leases that are held.
    pub fn count(&self) -> usize {
        self.held().count()
    }

    /// Whether a lease must be renewed or revoked now.
    pub fn is_due(&self) -> bool {
        self.held().is_due(Instant::now())
    }

    /// Renews and revokes what is due, at most one batch.
    pub async fn step(&self) -> Report {
        let due = self.held().take_due(Instant::now(), BATCH);
        let count = due.len();
        stream::iter(due)
            .for_each_concurrent(CONCURRENT, |due| async move {
                if let Err(error) = self.perform(due).await {
                    tracing::warn!(%error, cause = ?std::error::Error::source(&error), "cannot keep a lease; trying again");
                }
            })
            .await;
        Report::batch(u64::try_from(count).unwrap_or(u64::MAX), BATCH as u64)
    }

    /// Revokes everything and leases nothing new. Returns how many leases could not be revoked; they end with their time.
    pub async fn end(&self) -> usize {
        let due = self.held().end();
        let failed = stream::iter(due)
            .map(|due| async move { self.0.lessor.revoke(&due.lease).await.is_err() })
            .buffer_unordered(2 * CONCURRENT)
            .filter(|failed| std::future::ready(*failed))
            .count();
        failed.await
    }

    /// The current login of a role, if it is still good.
    fn current(&self, role: &Name) -> Result<Option<Arc<Credentials>>> {
        let mut held = self.held();
        if held.has_ended() {
            return Err(OpenBaoError::new(Call::LeaseCredentials, Cause::Stopping));
        }
        Ok(held.current(role, self.0.lessor.generation(), Instant::now()))
    }

    async fn lease(&self, role: &Name) -> Result<Arc<Credentials>> {
        // The time of the lease counts from before the call.
        let begun = Instant::now();
        let credentials = Arc::new(self.0.lessor.lease(role).await?);
        let kept = self.held().insert(role, credentials.clone(), begun);
        if !kept {
            // The server ended meanwhile.
            self.0.lessor.revoke(&credentials.lease.id).await?;
            return Err(OpenBaoError::new(Call::LeaseCredentials, Cause::Stopping));
        }
        Ok(credentials)
    }

    /// Does what a lease needs, and decides when it needs something again.
    async fn perform(&self, due: Due) -> Result<()> {
        let Due { key, lease, task, failures } = due;
        let begun = Instant::now();
        let granted = match task {
            Task::Renew { by } => self.0.lessor.renew(&lease, by).await.map(|renewed| renewed.duration),
            Task::Revoke => self.0.lessor.revoke(&lease).await.map(|()| Duration::ZERO),
        };
        let mut held = self.held();
        match (task, granted) {
            (Task::Renew { .. }, Ok(granted)) => held.renewed(key, granted, begun),
            (Task::Revoke, Ok(_)) => held.remove(key),
            // It is gone: the next caller gets a new one.
            (Task::Renew { .. }, Err(OpenBaoError { cause: Cause::NoLease, .. })) => held.remove(key),
            // It stays as it is until its end.
            (Task::Renew { .. }, Err(OpenBaoError { cause: Cause::NotRenewable, .. })) => held.retire(key),
            (_, Err(error)) => {
                held.delay(key, Instant::now() + backoff(RETRY, LONGEST_RETRY, failures + 1));
                return Err(error);
            }
        }
        Ok(())
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        lock(&self.0.held)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
