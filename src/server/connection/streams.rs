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
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::rt::Executor;
use tokio::time::{Instant, Sleep, sleep_until};

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

/// How long the peer has left a part of the response unread.
struct Unread {
    step: u64,
    /// How long the peer may do that.
    until: Instant,
    /// Ends at `until` or earlier. It is set again only when it ends, because to set a timer at each part costs more than the rest.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Unread {
    /// Ready if the part of this step has been unread for too long.
    fn poll_over(&mut self, step: u64, timeout: Duration, cx: &mut Context<'_>) -> Poll<()> {
        // Otherwise the call is running.
        let is_unread = !step.is_multiple_of(2);
        if is_unread && self.step != step {
            (self.step, self.until) = (step, Instant::now() + timeout);
            self.timer.get_or_insert_with(|| Box::pin(sleep_until(self.until)));
        }
        while let Some(timer) = &mut self.timer {
            ready!(timer.as_mut().poll(cx));
            if !is_unread {
                self.timer = None;
                // The same step cannot come again.
                break;
            }
            if Instant::now() >= self.until {
                return Poll::Ready(());
            }
            timer.as_mut().reset(self.until);
        }
        Poll::Pending
    }
}

/// Runs a stream. Dropping it resets it.
async fn run<F: Future>(stream: F, timeout: Duration) {
    let steps = Arc::new(AtomicU64::new(0));
    let mut stream = pin!(STEPS.scope(steps.clone(), stream));
    let mut unread = Unread { step: 0, until: Instant::now(), timer: None };
    poll_fn(|cx| match stream.as_mut().poll(cx) {
        Poll::Ready(_) => Poll::Ready(()),
        Poll::Pending => unread.poll_over(steps.load(Ordering::Relaxed), timeout, cx),
    })
    .await;
}
