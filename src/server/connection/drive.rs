//! The end of connections: in the drain, and where others wait for their places.
//!
//! A connection ends when it does nothing. A call that is worked on is waited for. Of a peer that has answers to take it is
//! asked that it takes something now and then: one that does not is as good as gone, one that is slow is not.

use std::{
    pin::{Pin, pin},
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

/// How long a connection stays that does nothing, in the drain or where others need its place.
const LINGER: Duration = Duration::from_secs(1);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// What can be asked to end when its calls have.
pub(in crate::server) trait Graceful: Future {
    /// Takes no more calls.
    fn end(self: Pin<&mut Self>);
}

/// The end of all connections of a server, and what it cost. Cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::server) struct End {
    drain: Drain,
    /// The time is over: whatever is in flight is cut off.
    over: CancellationToken,
    cut: Arc<AtomicUsize>,
    untaken: Arc<AtomicUsize>,
}

impl End {
    /// An end that begins with the drain.
    pub(in crate::server) fn with(drain: Drain) -> Self {
        Self { drain, over: CancellationToken::new(), cut: Arc::default(), untaken: Arc::default() }
    }

    /// Cuts off whatever is in flight.
    pub(in crate::server) fn cut(&self) {
        self.over.cancel();
    }

    /// How many connections were cut off with a call in flight.
    pub(in crate::server) fn cut_off(&self) -> usize {
        self.cut.load(Ordering::Relaxed)
    }

    /// How many connections were closed in the drain whose peers did not take their answers.
    pub(in crate::server) fn untaken(&self) -> usize {
        self.untaken.load(Ordering::Relaxed)
    }
}

/// How many new connections wait for a place.
pub(in crate::server) type Crowd = watch::Receiver<usize>;

/// Serves a connection to its end. From the drain on it takes no more calls, and ends when it does nothing. It ends so, too,
/// when others wait for its place. `untaken` is how long a peer may then leave an answer.
pub(in crate::server) async fn drive<C>(
    serving: C,
    connection: &Connection,
    end: &End,
    crowd: Crowd,
    untaken: Duration,
) -> Option<C::Output>
where
    C: Graceful,
{
    let mut serving = pin!(serving);
    // `serving` goes first, always: it knows whether the peer has taken something meanwhile.
    tokio::select! {
        biased;
        served = &mut serving => return Some(served),
        () = end.drain.draining() => {}
        () = in_the_way(connection, crowd, untaken) => {}
    }
    // What its peer has sent before it could know of the end is still done.
    connection.ends_after(LINGER);
    serving.as_mut().end();
    let draining = async {
        end.drain.draining().await;
        connection.drains.store(true, Ordering::Relaxed);
        std::future::pending().await
    };
    tokio::select! {
        biased;
        // The drain may begin while others wait for the place.
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

/// Waits until others wait for the place of a connection that is of no use.
async fn in_the_way(connection: &Connection, mut crowd: Crowd, untaken: Duration) {
    loop {
        if crowd.wait_for(|waiting| *waiting > 0).await.is_err() {
            // Nobody takes connections any more.
            return std::future::pending().await;
        }
        // Not all at once: those who wait may need few places.
        useless(connection, LINGER.mul_f64(rand::random_range(1.0..2.0)), untaken).await;
        if *crowd.borrow() > 0 {
            return;
        }
    }
}

/// Waits until a connection has done nothing for the time `idle` from now on, or its peer has left its answers for the time
/// `untaken`.
async fn useless(connection: &Connection, idle: Duration, untaken: Duration) {
    let now = Instant::now();
    loop {
        sleep(LOOK).await;
        let useless = match connection.doing() {
            // On HTTP/2 a call is over when the kernel has its answer, and its peer may still be taking that.
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
