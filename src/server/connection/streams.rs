//! The streams of HTTP/2, each a task, with a bound on how long a peer may leave an answer untaken.
//!
//! The flow control of HTTP/2 lets a peer hold back the data of one stream for as long as it likes, on a connection that is
//! otherwise alive. Such a stream is reset; the others go on.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use hyper::rt::Executor;
use tokio::time::{Sleep, sleep};

tokio::task_local! {
    /// What the answer of this stream has told.
    static STEPS: Arc<AtomicU64>;
}

/// A part of an answer was handed over: it is for the peer to take it.
pub(super) fn handed_over() {
    // Only streams of HTTP/2 are tasks of their own.
    let _ = STEPS.try_with(|steps| steps.store(steps.load(Ordering::Relaxed) | 1, Ordering::Relaxed));
}

/// The answer was asked for its next part: what was handed over before is taken.
pub(super) fn asked_for_more() {
    let _ = STEPS.try_with(|steps| steps.store((steps.load(Ordering::Relaxed) | 1) + 1, Ordering::Relaxed));
}

/// Runs the streams of HTTP/2.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct Streams {
    /// How long a peer may take to take a part of an answer.
    pub timeout: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        tokio::spawn(run(stream, self.timeout));
    }
}

/// Runs a stream. To drop it is to reset it.
async fn run<F: Future>(stream: F, timeout: Duration) {
    let steps = Arc::new(AtomicU64::new(0));
    let mut stream = pin!(STEPS.scope(steps.clone(), stream));
    let mut waiting: Option<(u64, Pin<Box<Sleep>>)> = None;
    poll_fn(|cx| {
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let step = steps.load(Ordering::Relaxed);
        if step.is_multiple_of(2) {
            // The call is worked on.
            waiting = None;
            return Poll::Pending;
        }
        if waiting.as_ref().is_none_or(|(before, _)| *before != step) {
            waiting = Some((step, Box::pin(sleep(timeout))));
        }
        match &mut waiting {
            Some((_, sleep)) => sleep.as_mut().poll(cx),
            None => Poll::Pending,
        }
    })
    .await;
}
