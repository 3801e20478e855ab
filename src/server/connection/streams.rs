//! The HTTP/2 streams, each in its own task, with a limit on how long a peer may leave a response unread.
//!
//! HTTP/2 flow control lets a peer block one stream for as long as it likes on a connection that is otherwise active.
//! Such a stream is reset; the others continue.

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
    /// The progress of this stream's response.
    static STEPS: Arc<AtomicU64>;
}

/// A part of a response was passed on: the peer must read it.
pub(super) fn handed_over() {
    // Only HTTP/2 streams have their own tasks.
    let _ = STEPS.try_with(|steps| steps.store(steps.load(Ordering::Relaxed) | 1, Ordering::Relaxed));
}

/// The response was polled for its next part: the previous one was read.
pub(super) fn asked_for_more() {
    let _ = STEPS.try_with(|steps| steps.store((steps.load(Ordering::Relaxed) | 1) + 1, Ordering::Relaxed));
}

/// Runs HTTP/2 streams.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct Streams {
    /// How long a peer may take to read a part of a response.
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

/// Runs a stream. Dropping it resets it.
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
            // The call is running.
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
