//! How many lines a connection may make in the log.
//!
//! Each call has a line. A stranger, who needs no credential to call, would fill the disk with them as fast as the network
//! lets it; so the calls without a credential on one connection share a budget for each minute.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Lines in a period.
const LINES: u32 = 600;
const PERIOD: Duration = Duration::from_secs(60);

/// The budget of a connection, in the extensions of its requests. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct LineBudget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    peer: SocketAddr,
    spent: Mutex<Spent>,
}

#[derive(Debug)]
struct Spent {
    since: Instant,
    lines: u32,
    /// Calls without a line.
    left_out: u64,
}

impl LineBudget {
    /// The budget of a new connection.
    pub(super) fn new(peer: SocketAddr) -> Self {
        Self(Arc::new(Shared { peer, spent: Mutex::new(Spent { since: Instant::now(), lines: 0, left_out: 0 }) }))
    }

    /// Whether a call may have its line. Says how many had none, once there is room again.
    pub(super) fn take(&self) -> bool {
        self.take_at(Instant::now())
    }

    fn take_at(&self, now: Instant) -> bool {
        let mut spent = self.0.spent.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(spent.since) >= PERIOD {
            let left_out = std::mem::take(&mut spent.left_out);
            (spent.since, spent.lines) = (now, 0);
            tell(self.0.peer, left_out);
        }
        if spent.lines == LINES {
            spent.left_out += 1;
            return false;
        }
        spent.lines += 1;
        true
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let left_out = self.spent.get_mut().unwrap_or_else(PoisonError::into_inner).left_out;
        tell(self.peer, left_out);
    }
}

fn tell(peer: SocketAddr, calls: u64) {
    if calls > 0 {
        tracing::warn!(%peer, calls, "calls without a credential were too many to log each");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_without_a_credential_has_a_bounded_number_of_lines_a_minute() {
        let (budget, now) = (LineBudget::new(SocketAddr::from(([127, 0, 0, 1], 1))), Instant::now());
        let lines = |at: Instant| (0..10_000).filter(|_| budget.take_at(at)).count();
        assert_eq!((lines(now), lines(now + PERIOD / 2), lines(now + PERIOD)), (600, 0, 600));
    }
}
