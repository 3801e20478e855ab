//! The jobs of a server.

use std::{fs, time::Duration};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Board, Job, coordination::Database, runner::Runner};
use crate::store::Store;

/// The jobs that run on a server.
pub struct Jobs {
    store: Store,
    holder: String,
    board: Board,
    stop: CancellationToken,
    running: JoinSet<()>,
}

impl Jobs {
    /// None yet. Their status will be on the board.
    pub fn new(store: &Store, board: Board) -> Self {
        Self { store: store.clone(), holder: holder(), board, stop: CancellationToken::new(), running: JoinSet::new() }
    }

    /// Starts a job.
    pub fn start<J: Job>(&mut self, job: J) {
        let others = Database::new(&self.store, &self.holder);
        let (board, clock, stop) = (self.board.clone(), self.store.clock().clone(), self.stop.clone());
        self.running.spawn(Runner::new(job, others, board, clock, stop).follow());
    }

    /// Tells all jobs to end and waits for that, no longer than `time`; what still runs then is cut off.
    pub async fn end(self, time: Duration) {
        self.stop.cancel();
        if !all_end(self.running, time).await {
            tracing::warn!("some background jobs did not end in time and were cut off");
        }
    }
}

/// Waits until all have ended, no longer than `time`; what still runs then is cut off. Whether all had.
async fn all_end(mut running: JoinSet<()>, time: Duration) -> bool {
    let all = async { while running.join_next().await.is_some() {} };
    tokio::time::timeout(time, all).await.is_ok()
}

/// Runs a single job until `stop`.
pub async fn follow<J: Job>(job: J, store: Store, stop: CancellationToken) {
    let (others, clock) = (Database::new(&store, &holder()), store.clock().clone());
    Runner::new(job, others, Board::default(), clock, stop).follow().await;
}

/// A name that no other process has, and by which an operator finds this one.
fn holder() -> String {
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
    async fn what_does_not_end_in_time_is_cut_off() {
        let (held, gone) = tokio::sync::oneshot::channel::<()>();
        let mut running = JoinSet::new();
        running.spawn(async move {
            let _held = held;
            std::future::pending().await
        });
        running.spawn(async {});
        assert!(!all_end(running, Duration::from_secs(5)).await);
        assert!(gone.await.is_err(), "its values are dropped");
    }

    #[test]
    fn no_two_holders_have_one_name() {
        let (one, other) = (holder(), holder());
        assert_ne!(one, other);
        assert!(one.contains(&format!(":{}:", std::process::id())), "{one}");
    }
}
