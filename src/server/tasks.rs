//! Background tasks that are not jobs: each waits for an event and forwards it, and has no result to retry or to report. A task that
//! panics is restarted; the panic is counted and logged.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::base::panics;

/// The pause before a task is restarted.
const PAUSE: Duration = Duration::from_secs(1);

/// The tasks of a server.
pub(super) struct Tasks {
    running: JoinSet<()>,
    stop: CancellationToken,
}

impl Tasks {
    pub(super) fn new() -> Self {
        Self { running: JoinSet::new(), stop: CancellationToken::new() }
    }

    /// Starts a task, which ends by itself or when its token is cancelled.
    pub(super) fn spawn<F>(&mut self, name: &'static str, begin: impl Fn(CancellationToken) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = self.stop.clone();
        self.running.spawn(async move {
            while let Err(panic) = AssertUnwindSafe(begin(stop.clone())).catch_unwind().await {
                panics::count(panic.as_ref());
                tracing::error!(task = name, "a task panicked and was restarted");
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    () = stop.cancelled() => return,
                }
            }
        });
    }

    /// Cancels all tasks and waits for their end, at most `time`.
    pub(super) async fn end(mut self, time: Duration) {
        self.stop.cancel();
        let all = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(time, all).await.is_err() {
            tracing::warn!("some tasks did not stop in time");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_is_restarted() {
        let begun = Arc::new(AtomicUsize::new(0));
        let mut tasks = Tasks::new();
        let count = begun.clone();
        tasks.spawn("it", move |stop| {
            let first = count.fetch_add(1, Ordering::Relaxed) == 0;
            async move {
                assert!(!first, "the first one panics");
                stop.cancelled().await;
            }
        });
        let again = async {
            while begun.load(Ordering::Relaxed) < 2 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(20 * PAUSE, again).await.expect("the task begins again");
        tasks.end(20 * PAUSE).await;
    }
}
