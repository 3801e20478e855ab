//! Grouped commits on SQLite.
//!
//! SQLite has one writer at a time and a durable commit costs a sync of the disk. One task owns the writing connection,
//! takes all writes that wait, runs each in a savepoint and commits them together. A write that fails is rolled back to
//! its savepoint and hurts no other. Nobody is answered before the commit, not even with an error: what the error says
//! may rest on a neighbour's write that did not come to pass.

use std::sync::{Arc, Mutex, PoisonError};

use sea_orm::{
    DatabaseConnection, DatabaseTransaction, DbErr, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::{clusters::ClusterNames, connect::Databases, door, job::Job, tx::Journal};
use crate::base::{Clock, Error, Result};

/// Most writes of one group.
const GROUP: usize = 256;
/// Most writes that wait; more wait outside.
const QUEUE: usize = 1024;

/// Where writes go.
pub(super) struct Writer {
    /// Gone once the writer was told to stop.
    queue: Mutex<Option<mpsc::Sender<Box<dyn Job>>>>,
}

/// The task's own.
struct Group {
    db: DatabaseConnection,
    clock: Clock,
    clusters: Arc<ClusterNames>,
}

impl Writer {
    /// Starts the task.
    pub fn start(db: &Databases, clock: Clock, clusters: Arc<ClusterNames>, tasks: &TaskTracker) -> Self {
        let (queue, mut waiting) = mpsc::channel(QUEUE);
        let group = Group { db: db.write.clone(), clock, clusters };
        tasks.spawn(async move {
            let mut jobs = Vec::with_capacity(GROUP);
            while waiting.recv_many(&mut jobs, GROUP).await > 0 {
                group.run(jobs.drain(..)).await;
            }
        });
        Self { queue: Mutex::new(Some(queue)) }
    }

    /// Queues a write. After the stop its caller is told by the reply that falls.
    pub async fn admit(&self, job: Box<dyn Job>) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(queue) = queue {
            let _ = queue.send(job).await;
        }
    }

    /// Lets the task end when the queue is empty.
    pub fn stop(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Numbers and seals the journal at once and writes it. No relay is needed: this transaction is the only one that writes,
/// so whoever commits later gets higher numbers.
async fn write(mut journal: Journal, outer: &DatabaseTransaction) -> Result<(), DbErr> {
    journal.number(outer).await?;
    journal.write(outer).await
}

impl Group {
    async fn run(&self, jobs: impl Iterator<Item = Box<dyn Job>>) {
        let mut jobs: Vec<_> = jobs.filter(|job| !job.abandoned()).collect();
        if jobs.is_empty() {
            return;
        }
        metrics::histogram!("tenantry.store.group.size").record(jobs.len() as f64);
        match self.commit(&mut jobs).await {
            Ok(outcomes) => jobs.into_iter().zip(outcomes).for_each(|(job, outcome)| job.answer(outcome)),
            Err(error) => jobs.into_iter().for_each(|job| job.answer(Err(Error::from(error.clone())))),
        }
    }

    /// Runs the writes and commits; gives the outcome of each, or why all of them failed.
    async fn commit(&self, jobs: &mut [Box<dyn Job>]) -> Result<Vec<Result<()>>, DbErr> {
        let immediate = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let outer = self.db.begin_with_options(immediate).await?;
        let mut journal = Journal::default();
        let mut outcomes = Vec::with_capacity(jobs.len());
        for job in jobs {
            outcomes.push(self.run_in_savepoint(&outer, job.as_mut(), &mut journal).await?);
        }
        let clusters_changed = journal.clusters_changed;
        if let Err(error) = write(journal, &outer).await {
            outer.rollback().await?;
            return Err(error);
        }
        outer.commit().await?;
        if clusters_changed {
            self.clusters.changed();
        }
        Ok(outcomes)
    }

    /// The inner result is the write's, the outer one the savepoint's: without it nothing is known of the rest.
    async fn run_in_savepoint(
        &self,
        outer: &DatabaseTransaction,
        job: &mut dyn Job,
        journal: &mut Journal,
    ) -> Result<Result<()>, DbErr> {
        let (savepoint, recorded) = door::run(job, outer.begin().await?, &self.clock).await;
        match recorded {
            Ok(recorded) => {
                savepoint.commit().await?;
                journal.append(recorded);
                Ok(Ok(()))
            }
            Err(error) => {
                savepoint.rollback().await?;
                Ok(Err(error))
            }
        }
    }
}
