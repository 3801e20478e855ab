//! The job that finds operations which are due and has them run on this server.

use std::{
    collections::HashSet,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::FutureExt;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Kinds,
    due::due,
    worker::{Worker, lease_of},
};
use crate::{
    base::{Activator, Result},
    jobs::{Job, Leases, Placement, Report, Run, Schedule, holder},
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
    tasks: JoinSet<(Uuid, bool)>,
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

    /// Starts the work on operations that are due, as far as there is room.
    fn dispatch(&self, due: Vec<Uuid>) {
        let mut running = self.running();
        for id in due {
            if running.ids.len() >= MOST {
                break;
            }
            if running.ids.insert(id) {
                let worker = self.worker.clone();
                running.tasks.spawn(async move {
                    let worked = AssertUnwindSafe(worker.work(id)).catch_unwind().await.unwrap_or(false);
                    if worked {
                        // There is room for another one.
                        worker.store.operations_due().activate();
                    }
                    (id, worked)
                });
            }
        }
    }

    /// Removes what has ended, and returns how many operations were worked on.
    fn reap(&self) -> u64 {
        let (mut running, mut worked) = (self.running(), 0);
        while let Some(ended) = running.tasks.try_join_next() {
            if let Ok((id, did)) = ended {
                running.ids.remove(&id);
                worked += u64::from(did);
            }
        }
        worked
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
        let worked = self.reap();
        let due = due(&self.worker.store, &self.worker.kinds).await?;
        let names: HashSet<_> = due.iter().map(|id| lease_of(*id)).collect();
        self.worker.leases.retain(|name| names.contains(name));
        self.dispatch(due);
        Ok(Report::done(worked))
    }
}
