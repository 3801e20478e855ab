//! Group commit on SQLite.
//!
//! SQLite has one writer at a time, and a durable commit costs a disk sync. One thread has the writing
//! connection, takes all queued writes, runs them and commits them together. It may wait for the disk and for
//! other processes, which would stall the calls on a thread of the runtime. A failing write does not affect
//! others: a group first runs without savepoints, because nearly all writes succeed and two savepoint
//! statements cost as much as the rows; when one fails, the group is rolled back and runs again with a
//! savepoint for each write, as do the next few groups. No result is returned before the commit, not even an
//! error, because it may depend on another write of the group that was rolled back.

use std::{
    io,
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use sea_orm::DbErr;
use tokio::{runtime::Handle, sync::mpsc, time::timeout};
use tokio_util::task::TaskTracker;

use super::{after_commit::Observers, queued::QueuedWrite, tx::Effects};
use crate::base::{Clock, Error, Result};
use crate::store::{TxConn, sqlite::Writing, write};

/// Maximum number of writes in one group.
const GROUP: usize = 256;
/// Capacity of the queue.
const QUEUE: usize = 1024;
/// After how long without a write the changes of other processes are looked at.
const IDLE: Duration = Duration::from_secs(1);
/// How many groups use savepoints after a write failed.
const SAVEPOINT_GROUPS: u32 = 16;

/// The handle of the writer's thread.
pub(in crate::store) struct Writer {
    /// None once the writer was stopped.
    queue: Mutex<Option<mpsc::Sender<Box<dyn QueuedWrite>>>>,
}

/// The state of the thread.
struct Group {
    writing: Writing,
    clock: Clock,
    observers: Observers,
    /// How many more groups use savepoints.
    savepoint_groups: u32,
}

/// The outcome of each write in a committed group.
type Outcomes = Vec<Result<()>>;

impl Writer {
    /// Starts the thread. The futures of writes run on it, with the timers of the current runtime.
    pub fn start(writing: Writing, clock: Clock, observers: Observers, tasks: &TaskTracker) -> io::Result<Self> {
        let (queue, mut waiting) = mpsc::channel(QUEUE);
        let mut group = Group { writing, clock, observers, savepoint_groups: 0 };
        let (runtime, running) = (Handle::current(), tasks.token());
        let run = async move {
            let mut writes = Vec::with_capacity(GROUP);
            loop {
                match timeout(IDLE, waiting.recv_many(&mut writes, GROUP)).await {
                    Ok(0) => return,
                    Ok(_) => group.run(writes.drain(..)).await,
                    Err(_) => group.writing.refresh(),
                }
            }
        };
        thread::Builder::new().name("writer".to_owned()).spawn(move || {
            runtime.block_on(run);
            drop(running);
        })?;
        Ok(Self { queue: Mutex::new(Some(queue)) })
    }

    /// Queues a write. After `stop`, it is dropped, and its caller sees the closed reply channel.
    pub async fn admit(&self, queued: Box<dyn QueuedWrite>) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(queue) = queue {
            let _ = queue.send(queued).await;
        }
    }

    /// Stops the thread once the queue is empty.
    pub fn stop(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Drop for Group {
    /// The store keeps the connection after a panic, which must not leave a transaction open.
    fn drop(&mut self) {
        self.roll_back();
    }
}

impl Group {
    async fn run(&mut self, writes: impl Iterator<Item = Box<dyn QueuedWrite>>) {
        let mut writes: Vec<_> = writes.filter(|queued| !queued.abandoned()).collect();
        if writes.is_empty() {
            return;
        }
        metrics::histogram!("tenantry.store.group.size").record(writes.len() as f64);
        match self.commit(&mut writes).await {
            Ok(outcomes) => writes.into_iter().zip(outcomes).for_each(|(queued, outcome)| queued.answer(outcome)),
            Err(error) => {
                self.roll_back();
                writes.into_iter().for_each(|queued| queued.answer(Err(Error::from(error.clone()))));
            }
        }
        self.writing.committed();
    }

    /// Rolls back what a failure left open, so that it does not lock the file.
    fn roll_back(&self) {
        if let Err(error) = self.writing.rollback() {
            tracing::warn!(%error, "cannot roll back a transaction; trying again before the next one");
        }
    }

    /// Runs the writes and commits. Returns the outcome of each, or the reason why all of them failed.
    async fn commit(&mut self, writes: &mut [Box<dyn QueuedWrite>]) -> Result<Outcomes, DbErr> {
        if self.savepoint_groups == 0 {
            if let Some(outcomes) = self.commit_bare(writes).await? {
                return Ok(outcomes);
            }
            self.savepoint_groups = SAVEPOINT_GROUPS;
        }
        self.savepoint_groups -= 1;
        self.commit_with_savepoints(writes).await
    }

    /// Runs the writes one after another; `None` if one of several failed and all were rolled back.
    async fn commit_bare(&self, writes: &mut [Box<dyn QueuedWrite>]) -> Result<Option<Outcomes>, DbErr> {
        let alone = writes.len() == 1;
        let mut effects = Effects::default();
        self.writing.begin()?;
        for queued in writes.iter_mut() {
            match write::run(queued.as_mut(), self.conn(), &self.clock).await.1 {
                Ok(recorded) => effects.append(recorded),
                Err(error) => {
                    self.writing.rollback()?;
                    return Ok(alone.then(|| vec![Err(error)]));
                }
            }
        }
        self.finish(effects).await?;
        Ok(Some(writes.iter().map(|_| Ok(())).collect()))
    }

    async fn commit_with_savepoints(&self, writes: &mut [Box<dyn QueuedWrite>]) -> Result<Outcomes, DbErr> {
        let mut effects = Effects::default();
        let mut outcomes = Vec::with_capacity(writes.len());
        self.writing.begin()?;
        for queued in writes {
            self.writing.begin_part()?;
            let (_, recorded) = write::run(queued.as_mut(), self.conn(), &self.clock).await;
            outcomes.push(match recorded {
                Ok(recorded) => {
                    self.writing.keep_part()?;
                    effects.append(recorded);
                    Ok(())
                }
                Err(error) => {
                    self.writing.undo_part()?;
                    Err(error)
                }
            });
        }
        self.finish(effects).await?;
        Ok(outcomes)
    }

    /// The connection for a write, inside the transaction of the group.
    fn conn(&self) -> TxConn {
        TxConn::Sqlite(self.writing.clone())
    }

    /// Numbers, seals and writes the effects, and commits. No relay is needed: this is the only writing
    /// transaction, so later commits get higher numbers.
    async fn finish(&self, mut effects: Effects) -> Result<(), DbErr> {
        let (has_events, conn) = (effects.has_events(), self.conn());
        let written = async {
            effects.number(&conn).await?;
            effects.write(&conn).await
        };
        let after_commit = match written.await {
            Ok(steps) => steps,
            Err(error) => {
                self.writing.rollback()?;
                return Err(error);
            }
        };
        self.writing.commit()?;
        self.observers.committed(after_commit);
        if has_events {
            self.observers.numbered.activate();
        }
        Ok(())
    }
}
