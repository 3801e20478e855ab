//! The jobs of a server.

use std::{fs, time::Duration};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Job, StatusBoard, coordination::Database, runner::Runner};
use crate::store::Store;

/// The jobs that run on a server.
pub struct Jobs {
    store: Store,
    holder: String,
    board: StatusBoard,
    stop: CancellationToken,
    running: JoinSet<()>,
}

impl Jobs {
    /// An empty set, whose jobs report to `board`.
    pub fn new(store: &Store, board: StatusBoard) -> Self {
        Self { store: store.clone(), holder: holder(), board, stop: CancellationToken::new(), running: JoinSet::new() }
    }

    pub fn start<J: Job>(&mut self, job: J) {
        let coordination = Database::new(&self.store, &self.holder);
        let (board, clock, stop) = (self.board.clone(), self.store.clock().clone(), self.stop.clone());
        self.running.spawn(Runner::new(job, coordination, board, clock, stop).follow());
    }

    /// Stops all jobs and waits for them, at most `time`; jobs that still run then are aborted.
    pub async fn end(self, time: Duration) {
        self.stop.cancel();
        if !all_end(self.running, time).await {
            tracing::warn!("some background jobs did not stop in time and were aborted");
        }
    }
}

/// Waits for all tasks, at most `time`; those that still run then are aborted. Returns whether all ended.
async fn all_end(mut running: JoinSet<()>, time: Duration) -> bool {
    let all = async { while running.join_next().await.is_some() {} };
    tokio::time::timeout(time, all).await.is_ok()
}

/// Runs a single job until `stop`.
pub async fn follow<J: Job>(job: J, store: Store, stop: CancellationToken) {
    let (coordination, clock) = (Database::new(&store, &holder()), store.clock().clone());
    Runner::new(job, coordination, StatusBoard::default(), clock, stop).follow().await;
}

/// A unique name of this process that an operator recognizes: host, process id, and a random part.
pub fn holder() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = match host.trim() {
        "" => "server",
        host => host,
    };
    let random = Uuid::new_v4().simple().to_string();
    format!("{host}:{}:{}", std::process::id(), &random[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn tasks_that_do_not_end_in_time_are_aborted() {
        let (held, dropped) = tokio::sync::oneshot::channel::<()>();
        let mut running = JoinSet::new();
        running.spawn(async move {
            let _held = held;
            std::future::pending().await
        });
        running.spawn(async {});
        assert!(!all_end(running, Duration::from_secs(5)).await);
        assert!(dropped.await.is_err(), "the task was not dropped");
    }

    #[test]
    fn every_holder_has_a_unique_name() {
        let (one, other) = (holder(), holder());
        assert_ne!(one, other);
        assert!(one.contains(&format!(":{}:", std::process::id())), "{one}");
    }
}
