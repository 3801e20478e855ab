//! The job that finds operations which are due and has them run on this server.

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

/// How often a server looks for operations that other servers started or left, and for attempts that are due.
const PERIOD: Duration = Duration::from_secs(2);
/// Most operations that one server runs at a time.
const MOST: usize = 8;

/// Runs operations that are due. Each has a lease of its own, so a slow one holds up no other, and every server may run
/// some.
pub struct RunOperations {
    worker: Arc<Worker>,
    running: Mutex<Running>,
}

/// What runs on this server.
#[derive(Default)]
struct Running {
    ids: HashSet<Uuid>,
    /// Each returns its id and whether it had anything to do.
    tasks: JoinSet<(Uuid, Result<bool>)>,
    backoff: Backoff,
    /// The operations that cannot be read and were logged.
    unreadable: HashSet<Uuid>,
}

impl Running {
    fn may_start(&self, id: Uuid) -> bool {
        !self.ids.contains(&id) && !self.backoff.holds(id)
    }

    fn start(&mut self, worker: Arc<Worker>, id: Uuid, lease: Lease) {
        self.ids.insert(id);
        self.tasks.spawn(async move {
            let worked = worker.work(id, lease).await;
            if matches!(worked, Ok(true)) {
                // There is room for another one.
                worker.store.operations_due().activate();
            }
            (id, worked)
        });
    }

    /// Removes what has ended, and returns how many operations were worked on.
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
            tracing::warn!(operation = %id, %error, ?cause, "an operation was interrupted and will be continued");
        } else {
            tracing::debug!(operation = %id, %error, ?cause, failures, "an operation cannot be continued yet");
        }
    }

    /// Logs each operation once that cannot be read, and forgets what is not due any more.
    fn note(&mut self, due: &Due) {
        for (id, error) in &due.unreadable {
            if !self.unreadable.contains(id) {
                tracing::warn!(operation = %id, cause = ?error.cause, "an operation that cannot be read is left alone");
            }
        }
        self.unreadable = due.unreadable.iter().map(|(id, _)| *id).collect();
        self.backoff.retain(|id| due.ids.contains(id));
    }
}

impl RunOperations {
    /// Of operations of these kinds.
    pub fn new(store: &Store, kinds: Kinds) -> Self {
        let (store, stop) = (store.clone(), CancellationToken::new());
        let leases = Leases::new(&store, holder());
        Self { worker: Arc::new(Worker { store, kinds, leases, stop }), running: Mutex::default() }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the work on operations that are due, as far as there is room. Those that other servers are working on take
    /// no room.
    async fn dispatch(&self, due: Vec<Uuid>) -> Result<()> {
        for id in due {
            if self.running().ids.len() >= MOST {
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
