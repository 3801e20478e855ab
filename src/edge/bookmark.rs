//! When a stream on which nothing happens sends a bookmark.

use std::{pin::Pin, time::Duration};

use tokio::time::{Instant, Sleep, sleep_until};

/// The time without an event after which a bookmark is sent; up to a quarter more, at random.
const PERIOD: Duration = Duration::from_secs(20);

/// The time of the next bookmark of a stream.
#[derive(Debug)]
pub(super) struct Bookmark {
    due: Instant,
    /// At most as late as `due`. It is set again only when it ends, because to set a timer costs more than the rest of an event.
    timer: Pin<Box<Sleep>>,
}

impl Bookmark {
    pub fn new() -> Self {
        let due = next();
        Self { due, timer: Box::pin(sleep_until(due)) }
    }

    /// Something else was sent.
    pub fn postpone(&mut self) {
        self.due = next();
    }

    /// Waits until the bookmark is due, and postpones the one after it. Cancel safe.
    pub async fn due(&mut self) {
        loop {
            self.timer.as_mut().await;
            let is_due = Instant::now() >= self.due;
            if is_due {
                self.postpone();
            }
            self.timer.as_mut().reset(self.due);
            if is_due {
                return;
            }
        }
    }
}

/// Random, so that not all streams send theirs at once.
fn next() -> Instant {
    Instant::now() + PERIOD.mul_f64(rand::random_range(1.0..1.25))
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_bookmark_is_due_after_a_period_without_an_event() {
        let mut bookmark = Bookmark::new();
        advance(PERIOD - Duration::from_secs(1)).await;
        assert!(futures::poll!(Box::pin(bookmark.due())).is_pending());
        bookmark.postpone();
        advance(PERIOD - Duration::from_secs(1)).await;
        assert!(futures::poll!(Box::pin(bookmark.due())).is_pending());
        for _ in 0..2 {
            let before = Instant::now();
            bookmark.due().await;
            assert!(before.elapsed() <= PERIOD.mul_f64(1.25));
        }
        assert!(futures::poll!(Box::pin(bookmark.due())).is_pending());
    }
}
