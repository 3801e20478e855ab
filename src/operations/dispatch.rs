//! The job that finds due operations and runs them on this server.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Kinds,
    backoff::Backoff,
    due::{Due, due},
    worker::{Worker, lease_of},
};
use crate::{
    base::{Activator, Error, Result},
    jobs::{Job, Lease, Leases, Placement, Report, Run, Schedule, holder},
    store::Store,
};

/// How often a server looks for operations that other servers started or abandoned, and for attempts that are due.
const PERIOD: Duration = Duration::from_secs(2);
/// Maximum number of operations that one server runs at a time.
const MAX_RUNNING: usize = 8;

/// Runs due operations. Each has its own lease, so a slow one does not delay the others, and all servers share the work.
pub struct RunOperations {
    worker: Arc<Worker>,
    running: Mutex<Running>,
}

/// The operations that are running on this server.
#[derive(Default)]
struct Running {
    ids: HashSet<Uuid>,
    /// Each task returns the id and whether there was anything to do.
    tasks: JoinSet<(Uuid, Result<bool>)>,
    backoff: Backoff,
    /// The operations with unreadable rows, which have been logged.
    unreadable: HashSet<Uuid>,
}

impl Running {
    fn may_start(&self, id: Uuid) -> bool {
        !self.ids.contains(&id) && !self.backoff.is_delayed(id)
    }

    fn start(&mut self, worker: Arc<Worker>, id: Uuid, lease: Lease) {
        self.ids.insert(id);
        self.tasks.spawn(async move {
            let worked = worker.work(id, lease).await;
            if matches!(worked, Ok(true)) {
                // Another one may start now.
                worker.store.operations_due().activate();
            }
            (id, worked)
        });
    }

    /// Removes the tasks that have ended, and returns how many of them had anything to do.
    fn reap(&mut self) -> u64 {
        let mut worked = 0;
        while let Some(ended) = self.tasks.try_join_next() {
            let Ok((id, outcome)) = ended else { continue };
            self.ids.remove(&id);
            match outcome {
                Ok(did) => {
                    self.backoff.succeeded(id);
                    worked += u64::from(did);
                }
                Err(error) => self.failed(id, &error),
            }
        }
        worked
    }

    fn failed(&mut self, id: Uuid, error: &Error) {
        let (failures, cause) = (self.backoff.failed(id, error), error.cause.as_ref());
        if failures == 1 {
            tracing::warn!(operation = %id, %error, ?cause, "an operation was interrupted; trying again");
        } else {
            tracing::debug!(operation = %id, %error, ?cause, failures, "an operation was interrupted again");
        }
    }

    /// Logs each unreadable operation once, and forgets operations that are no longer due.
    fn note(&mut self, due: &Due) {
        for (id, error) in &due.unreadable {
            if !self.unreadable.contains(id) {
                tracing::warn!(operation = %id, cause = ?error.cause, "cannot read an operation; skipping it");
            }
        }
        self.unreadable = due.unreadable.iter().map(|(id, _)| *id).collect();
        self.backoff.retain(|id| due.ids.contains(id));
    }
}

impl RunOperations {
    /// Runs operations of these kinds.
    pub fn new(store: &Store, kinds: Kinds) -> Self {
        let (store, stop) = (store.clone(), CancellationToken::new());
        let leases = Leases::new(&store, holder());
        Self { worker: Arc::new(Worker { store, kinds, leases, stop }), running: Mutex::default() }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts due operations up to the maximum. Operations that run on other servers do not count.
    async fn dispatch(&self, due: Vec<Uuid>) -> Result<()> {
        for id in due {
            if self.running().ids.len() >= MAX_RUNNING {
                break;
            }
            if self.running().may_start(id)
                && let Some(lease) = self.worker.take(id).await?
            {
                self.running().start(self.worker.clone(), id, lease);
            }
        }
        Ok(())
    }

    /// Stops the work and waits for it.
    async fn end(&self) {
        self.worker.stop.cancel();
        let mut tasks = std::mem::take(&mut self.running().tasks);
        while tasks.join_next().await.is_some() {}
    }
}

impl Job for RunOperations {
    const NAME: &'static str = "operations";
    const PLACEMENT: Placement = Placement::EveryServer;
    const LAST_RUN: bool = true;

    fn schedule(&self) -> Schedule {
        Schedule::every(PERIOD)
    }

    fn activator(&self) -> Option<Activator> {
        Some(self.worker.store.operations_due().clone())
    }

    async fn run(&self, run: &Run) -> Result<Report> {
        if run.is_last() {
            self.end().await;
            return Ok(Report::done(0));
        }
        let worked = self.running().reap();
        let due = due(&self.worker.store, &self.worker.kinds).await?;
        self.running().note(&due);
        let names: HashSet<_> = due.ids.iter().map(|id| lease_of(*id)).collect();
        self.worker.leases.retain(|name| names.contains(name));
        self.dispatch(due.ids).await?;
        Ok(Report::done(worked))
    }
}
