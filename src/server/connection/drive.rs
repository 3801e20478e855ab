//! The end of connections: in the drain, and when others need their slots.
//!
//! An idle connection is closed. Running calls are waited for. A peer with pending responses must read some data now
//! and then: one that does not is treated as gone, one that is slow is not.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{Connection, Doing};
use crate::base::Drain;

/// How long an idle connection stays open in the drain, or when others need its slot.
const LINGER: Duration = Duration::from_secs(1);
/// How often that is checked.
const LOOK: Duration = Duration::from_millis(100);

/// A connection that can be asked to end after its calls.
pub(in crate::server) trait Graceful: Future {
    /// Accepts no more calls.
    fn end(self: Pin<&mut Self>);
}

/// The end of all connections of a server, and its statistics. Cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::server) struct End {
    drain: Drain,
    /// The deadline: calls in progress are aborted.
    over: CancellationToken,
    cut: Arc<AtomicUsize>,
    untaken: Arc<AtomicUsize>,
}

impl End {
    /// An end that starts with the drain.
    pub(in crate::server) fn with(drain: Drain) -> Self {
        Self { drain, over: CancellationToken::new(), cut: Arc::default(), untaken: Arc::default() }
    }

    /// Aborts all calls in progress.
    pub(in crate::server) fn cut(&self) {
        self.over.cancel();
    }

    /// How many connections were aborted with a call in progress.
    pub(in crate::server) fn cut_off(&self) -> usize {
        self.cut.load(Ordering::Relaxed)
    }

    /// How many connections were closed in the drain because their peers did not read their responses.
    pub(in crate::server) fn untaken(&self) -> usize {
        self.untaken.load(Ordering::Relaxed)
    }
}

/// How many new connections wait for a slot.
pub(in crate::server) type Crowd = watch::Receiver<usize>;

/// Serves a connection until it ends. From the drain on it accepts no more calls, and is closed when it is idle. The
/// same happens when others wait for its slot. `untaken` is how long a peer may then leave a response unread.
pub(in crate::server) async fn drive<C>(
    mut serving: Pin<Box<C>>,
    connection: &Connection,
    end: &End,
    crowd: Crowd,
    untaken: Duration,
) -> Option<C::Output>
where
    C: Graceful,
{
    // `serving` must be polled first: it knows whether the peer has read something in the meantime.
    tokio::select! {
        biased;
        served = &mut serving => return Some(served),
        () = end.drain.draining() => {}
        () = in_the_way(connection, crowd, untaken) => {}
    }
    // Requests that the peer sent before it could know of the end are still served.
    connection.ends_after(LINGER);
    serving.as_mut().end();
    let draining = async {
        end.drain.draining().await;
        connection.drains.store(true, Ordering::Relaxed);
        std::future::pending().await
    };
    tokio::select! {
        biased;
        // The drain may start while others wait for the slot.
        () = draining => {}
        served = &mut serving => return Some(served),
        () = useless(connection, LINGER, untaken) => {
            if connection.doing() == Doing::Answering && end.drain.has_begun() {
                end.untaken.fetch_add(1, Ordering::Relaxed);
            }
        }
        () = end.over.cancelled() => {
            if connection.doing() != Doing::Nothing {
                end.cut.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    None
}

/// Waits until others need the slot of a connection that is not in use.
async fn in_the_way(connection: &Connection, mut crowd: Crowd, untaken: Duration) {
    loop {
        if crowd.wait_for(|waiting| *waiting > 0).await.is_err() {
            // Connections are no longer accepted.
            return std::future::pending().await;
        }
        // Randomized, so that not all of them end at once: few slots may be needed.
        useless(connection, LINGER.mul_f64(rand::random_range(1.0..2.0)), untaken).await;
        if *crowd.borrow() > 0 {
            return;
        }
    }
}

/// Waits until a connection was idle for the time `idle` from now on, or its peer has left its responses unread for the
/// time `untaken`.
async fn useless(connection: &Connection, idle: Duration, untaken: Duration) {
    let now = Instant::now();
    loop {
        sleep(LOOK).await;
        let useless = match connection.doing() {
            // On HTTP/2 a call is over when the kernel has its response, but its peer may still be reading that.
            Doing::Nothing if connection.is_owed() && connection.last().elapsed() < untaken => false,
            Doing::Nothing => connection.last().max(now).elapsed() >= idle,
            Doing::Working => false,
            Doing::Answering => connection.last().elapsed() >= untaken,
        };
        if useless {
            return;
        }
    }
}
