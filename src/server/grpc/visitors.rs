//! Limits of the streams that need no credential and never end by themselves: health watches, and reflection.
//!
//! Such a stream may be silent for days, and its connection does not count as idle, so it occupies a connection. Within
//! the limits a stream lasts as long as its client likes. Beyond them it ends after a while, and its client opens it
//! again. This serves many clients behind one address, and no client can occupy all connections.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{Stream, StreamExt, stream};
use tokio::time::Instant;
use tonic::{Extensions, Status};

use crate::{
    auth::ClientInfo,
    base::{Error, Kind, error::Reason, subscriber},
};

/// Maximum number of unlimited streams, in total and for one address.
const MOST: usize = 1024;
const OF_ONE: usize = 64;
/// The fraction of the connections that they may occupy, as a divisor.
const SHARE: usize = 4;
/// The factor by which an address may have more streams if they end after a while.
const CROWD: usize = 8;
/// The fraction of the connections that all streams together may occupy, as a divisor.
const CROWD_SHARE: usize = 2;
/// How long those streams last: as long as an idle connection stays open.
const STAY: Duration = Duration::from_secs(30);

/// The open streams. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Visitors {
    most: usize,
    of_one: usize,
    crowd: usize,
    stay: Duration,
    open: Arc<Mutex<HashMap<Near, Open>>>,
}

/// The key of the limits: an address, or an IPv6 network, which gives one site a whole range of addresses. Clients
/// whose proxy does not report their address count as the proxy.
type Near = Option<IpAddr>;

/// The number of open streams. Those that end by themselves do not count against the unlimited ones, or the many
/// clients of one address would shorten the streams of all others.
#[derive(Clone, Copy, Debug, Default)]
struct Open {
    lasting: usize,
    all: usize,
}

/// An open stream, until it is dropped.
#[derive(Debug)]
pub(super) struct Visit {
    visitors: Visitors,
    near: Near,
    /// When the stream must end; `None` if its client decides.
    until: Option<Instant>,
}

impl Visitors {
    /// The limits for a server with this number of connections.
    pub(super) fn new(connections: usize) -> Self {
        let most = (connections / SHARE).clamp(1, MOST);
        let crowd = (connections / CROWD_SHARE).clamp(1, MOST * CROWD);
        Self { most, of_one: most.min(OF_ONE), crowd, stay: STAY, open: Arc::default() }
    }

    /// Starts a stream, if another one is allowed.
    pub(super) fn enter(&self, extensions: &Extensions) -> Result<Visit, Status> {
        let client = extensions.get::<ClientInfo>();
        let near = client.map(|client| subscriber(client.address.unwrap_or(client.peer)));
        let mut open = self.open();
        let of_one = open.get(&near).copied().unwrap_or_default();
        if of_one.all >= self.of_one * CROWD {
            return Err(full(format!("{} such streams are open from this address; close one first", of_one.all)));
        }
        let sum = |count: fn(&Open) -> usize| open.values().map(count).sum::<usize>();
        if sum(|open| open.all) >= self.crowd {
            return Err(full("too many such streams are open; retry later".to_owned()));
        }
        let lasts = of_one.lasting < self.of_one && sum(|open| open.lasting) < self.most;
        let of_one = open.entry(near).or_default();
        of_one.all += 1;
        of_one.lasting += usize::from(lasts);
        Ok(Visit { visitors: self.clone(), near, until: (!lasts).then(|| Instant::now() + self.stay) })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Near, Open>> {
        // Each change is one step, so a poisoned lock is consistent.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visit {
    /// The stream of this visit, which ends at its deadline.
    pub(super) fn bound<T: Send>(
        self,
        stream: impl Stream<Item = Result<T, Status>> + Send,
    ) -> impl Stream<Item = Result<T, Status>> + Send {
        let open = Some((Box::pin(stream), self));
        stream::unfold(open, |open| async move {
            let (mut stream, visit) = open?;
            tokio::select! {
                next = stream.next() => next.map(|next| (next, Some((stream, visit)))),
                () = over(visit.until) => Some((Err(ended()), None)),
            }
        })
    }
}

/// Waits until a time; forever if there is none.
async fn over(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut open = self.visitors.open();
        if let Some(of_one) = open.get_mut(&self.near) {
            of_one.all -= 1;
            of_one.lasting -= usize::from(self.until.is_none());
            if of_one.all == 0 {
                open.remove(&self.near);
            }
        }
    }
}

fn full(text: String) -> Status {
    Error::new(Kind::ResourceExhausted, Reason::Overloaded, text).to_status()
}

/// Health clients reopen a watch that ends with this status, immediately if they have had a response.
fn ended() -> Status {
    let text = "many such streams are open, so this one has ended; open it again";
    Error::new(Kind::Unavailable, Reason::Overloaded, text).to_status()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str) -> Extensions {
        let mut extensions = Extensions::new();
        let peer = [10, 0, 0, 1].into();
        let address = address.parse().ok();
        let client = ClientInfo { address, peer, secure: None, host: None, local: false, user_agent: None };
        extensions.insert(client);
        extensions
    }

    #[test]
    fn streams_are_limited_by_address_and_in_total() {
        let visitors = Visitors { most: 3, of_one: 2, crowd: 24, stay: STAY, open: Arc::default() };
        let enter = |address: &str| visitors.enter(&from(address)).unwrap();
        let lasts = |visit: &Visit| visit.until.is_none();
        let (first, second) = (enter("2001:db8::1"), enter("2001:db8::2"));
        assert!(lasts(&first) && lasts(&second));
        let third = enter("2001:db8::3");
        assert!(!lasts(&third), "one network is one");
        let other = enter("192.0.2.1");
        assert!(lasts(&other), "a crowd does not shorten the streams of others");
        assert!(!lasts(&enter("192.0.2.2")), "all have their bound");
        drop((third, other));
        assert!(lasts(&enter("192.0.2.2")));
        drop((first, second));
        assert!(visitors.open().is_empty(), "clients that have left must be removed");
    }

    #[test]
    fn streams_of_many_addresses_are_limited() {
        let visitors = Visitors { most: 3, of_one: 2, crowd: 24, stay: STAY, open: Arc::default() };
        let enter = |address: &str| visitors.enter(&from(address));
        let of_one: Vec<_> = (0..16).map(|_| enter("192.0.2.1").unwrap()).collect();
        let refused = enter("192.0.2.1").unwrap_err();
        assert_eq!(refused.code(), Kind::ResourceExhausted);
        assert!(refused.message().starts_with("16 such streams"), "{refused}");
        let _others: Vec<_> = (0..8).map(|_| enter("").unwrap()).collect();
        assert!(enter("192.0.2.3").unwrap_err().message().starts_with("too many such streams"));
        drop(of_one);
        assert!(enter("192.0.2.3").is_ok(), "there is room again");
    }

    #[tokio::test]
    async fn a_stream_above_the_limits_ends_after_a_while() {
        let visitors = Visitors { most: 1, of_one: 1, crowd: 8, stay: Duration::from_millis(20), open: Arc::default() };
        let stream = || {
            let visit = visitors.enter(&from("192.0.2.1")).unwrap();
            Box::pin(visit.bound(stream::iter([Ok(1)]).chain(stream::pending::<Result<i32, Status>>())))
        };
        let (mut lasting, mut short) = (stream(), stream());
        assert_eq!((lasting.next().await.unwrap().unwrap(), short.next().await.unwrap().unwrap()), (1, 1));
        assert_eq!(short.next().await.unwrap().unwrap_err().code(), Kind::Unavailable);
        assert!(short.next().await.is_none());
        assert!(futures::poll!(lasting.next()).is_pending(), "its caller ends it");
        drop(lasting);
        assert!(visitors.open().is_empty());
    }

    #[test]
    fn the_bounds_leave_most_connections_to_others() {
        let bounds = |connections| {
            let Visitors { most, of_one, crowd, .. } = Visitors::new(connections);
            (most, of_one, crowd)
        };
        assert_eq!(bounds(8192), (1024, 64, 4096));
        assert_eq!(bounds(768), (192, 64, 384));
        assert_eq!(bounds(1), (1, 1, 1));
    }
}
