//! Waiting for the end of an operation.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::{Operation, queries};
use crate::{
    base::{Cx, Result},
    store::Store,
};

/// The longest wait of one call of [`wait`].
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// The pause between two reads: a part of the time since the first one, so that the end is noticed in proportion.
const PART: u32 = 8;
/// The shortest and the longest pause.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Waits until an operation has ended, for at most `time`, or until shortly before the deadline of the call, or until the server
/// begins to drain. Returns the current operation; its state says whether it has ended.
pub async fn wait(cx: &Cx, store: &Store, id: Uuid, time: Duration) -> Result<Operation> {
    wait_until(cx, store, id, time.min(LONGEST_WAIT), |_| false).await
}

/// As [`wait`], or until `enough` is true of the operation; for any time.
pub async fn wait_until(
    cx: &Cx,
    store: &Store,
    id: Uuid,
    time: Duration,
    enough: impl Fn(&Operation) -> bool + Send,
) -> Result<Operation> {
    let begun = Instant::now();
    let mut until = begun + time;
    if let Some(deadline) = cx.ends_at() {
        // Slightly earlier, so that the response arrives in time.
        until = until.min(Instant::from_std(deadline).checked_sub(SHORTEST_PAUSE).unwrap_or_else(Instant::now));
    }
    loop {
        let operation = queries::get(cx, store, id).await?;
        let now = Instant::now();
        if operation.state.is_final() || enough(&operation) || now >= until || cx.drain.has_begun() {
            return Ok(operation);
        }
        let pause = (begun.elapsed() / PART).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        let next = until.min(now + pause);
        // While it waits, the call does not count as active.
        cx.aside(async {
            tokio::select! {
                () = sleep_until(next) => {}
                () = cx.drain.draining() => {}
            }
            Some(())
        })
        .await?;
    }
}
