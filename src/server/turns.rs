//! Turns for TLS handshakes. One takes a processor as long as many calls do, and ten thousand begin together when gateways connect
//! again: in the queue of the runtime, calls would wait for all of them.

use std::{future::poll_fn, pin::pin, task::Poll, thread::available_parallelism, time::Duration};

use tokio::{
    sync::Semaphore,
    task::yield_now,
    time::{Instant, timeout},
};

/// Futures that are polled only with a turn. What waits for one is not in the queue of the runtime.
#[derive(Debug)]
pub(super) struct Turns(Semaphore);

impl Turns {
    /// Turns for half of the processors.
    pub(super) fn of_half() -> Self {
        Self::new(available_parallelism().map_or(1, |processors| processors.get() / 2))
    }

    fn new(turns: usize) -> Self {
        Self(Semaphore::new(turns.max(1)))
    }

    /// The result of a future; `None` if it waits for its peer for longer than `time`. The time in which it waits for its turns does
    /// not count.
    pub(super) async fn run<F: Future>(&self, future: F, time: Duration) -> Option<F::Output> {
        let (mut future, mut left) = (pin!(future), time);
        loop {
            // The semaphore is never closed.
            let turn = self.0.acquire().await.ok()?;
            // Every task that is ready comes first: those that want a turn as well now wait for this one.
            yield_now().await;
            let polled = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
            drop(turn);
            if let Poll::Ready(output) = polled {
                return Some(output);
            }
            if left.is_zero() {
                return None;
            }
            let waits = Instant::now();
            // Its end wakes this task, too; what it waits for is polled once more then.
            let _ = timeout(left, woken()).await;
            left = left.saturating_sub(waits.elapsed());
        }
    }
}

/// Waits until this task is woken, for what it has polled last.
async fn woken() {
    let mut is_polled = false;
    poll_fn(|_| if std::mem::replace(&mut is_polled, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use futures::future::join_all;
    use tokio::time::sleep;

    use super::*;

    #[tokio::test]
    async fn a_call_waits_for_one_handshake_and_not_for_all() {
        let (turns, polls) = (Arc::new(Turns::new(1)), Arc::new(AtomicUsize::new(0)));
        let handshakes = (0..1000).map(|_| {
            let (turns, polls) = (turns.clone(), polls.clone());
            tokio::spawn(async move {
                let handshake = async {
                    // Each of its steps is ready at once.
                    for _ in 0..3 {
                        polls.fetch_add(1, Ordering::Relaxed);
                        yield_now().await;
                    }
                };
                turns.run(handshake, Duration::from_secs(10)).await
            })
        });
        let handshakes: Vec<_> = handshakes.collect();
        let counted = polls.clone();
        let before = tokio::spawn(async move { counted.load(Ordering::Relaxed) }).await.unwrap();
        assert!(before <= 1, "{before} polls of handshakes");
        assert!(join_all(handshakes).await.into_iter().all(|done| done.unwrap().is_some()));
        assert_eq!(polls.load(Ordering::Relaxed), 3000);
    }

    #[tokio::test]
    async fn only_the_time_of_the_peer_is_limited() {
        let turns = Turns::new(1);
        let limit = Duration::from_millis(50);
        let silent = timeout(200 * limit, turns.run(std::future::pending::<()>(), limit));
        assert!(silent.await.unwrap().is_none());
        // Somebody has the turn for longer than the limit.
        let turn = turns.0.acquire().await.unwrap();
        let (waiting, release) = (turns.run(async { 1 }, limit), async {
            sleep(10 * limit).await;
            drop(turn);
        });
        assert_eq!(tokio::join!(waiting, release).0, Some(1));
    }
}
