//! Bounds of the streams that need no credential and have no end of their own: the watches of health, and reflection.
//!
//! Such a stream may say nothing for days, and its connection is not taken for idle, so it holds a place of all connections.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tonic::{Extensions, Status};

use crate::{
    auth::ClientInfo,
    base::{Error, Kind, error::Reason, subscriber},
};

/// Most streams of all callers, and of those of one address.
const MOST: usize = 1024;
const OF_ONE: usize = 64;
/// How much of the connections they may take at most.
const SHARE: usize = 4;

/// The streams that are open. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Visitors {
    most: usize,
    of_one: usize,
    open: Arc<Mutex<HashMap<Near, usize>>>,
}

/// Who counts as one: an address, or the network of one site, which IPv6 gives a whole range of addresses. Those whom
/// their proxy does not tell are the proxy.
type Near = Option<IpAddr>;

/// A stream that is open, until this is dropped.
#[derive(Debug)]
pub(super) struct Visit {
    visitors: Visitors,
    near: Near,
}

impl Visitors {
    /// Bounds for a server that takes so many connections.
    pub(super) fn new(connections: usize) -> Self {
        let most = (connections / SHARE).clamp(1, MOST);
        Self { most, of_one: most.min(OF_ONE), open: Arc::default() }
    }

    /// A stream begins, if there may be one more.
    pub(super) fn enter(&self, extensions: &Extensions) -> Result<Visit, Status> {
        let client = extensions.get::<ClientInfo>();
        let near = client.map(|client| subscriber(client.address.unwrap_or(client.peer)));
        let mut open = self.open();
        if open.get(&near).is_some_and(|of_one| *of_one >= self.of_one) {
            let open = self.of_one;
            return Err(full(format!("{open} such streams are open from this address; end one first")));
        }
        if open.values().sum::<usize>() >= self.most {
            return Err(full("too many such streams are open; retry later".to_owned()));
        }
        *open.entry(near).or_default() += 1;
        Ok(Visit { visitors: self.clone(), near })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Near, usize>> {
        // Each change is one step.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut open = self.visitors.open();
        if let Some(of_one) = open.get_mut(&self.near) {
            *of_one -= 1;
            if *of_one == 0 {
                open.remove(&self.near);
            }
        }
    }
}

fn full(text: String) -> Status {
    Error::new(Kind::ResourceExhausted, Reason::Overloaded, text).to_status()
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
    fn one_address_and_all_of_them_have_their_bounds() {
        let visitors = Visitors { most: 3, of_one: 2, open: Arc::default() };
        let enter = |address: &str| visitors.enter(&from(address));
        let first = enter("2001:db8::1").unwrap();
        let _second = enter("2001:db8::2").unwrap();
        let refused = enter("2001:db8::3").unwrap_err();
        assert_eq!(refused.code(), Kind::ResourceExhausted, "one network is one");
        assert!(refused.message().starts_with("2 such streams"), "{refused}");
        let third = enter("192.0.2.1").unwrap();
        assert!(enter("192.0.2.2").unwrap_err().message().starts_with("too many such streams"));
        drop(first);
        let _fourth = enter("").unwrap();
        drop(third);
        let _fifth = enter("2001:db8::1").unwrap();
        assert_eq!(visitors.open().len(), 2, "whoever left is forgotten");
    }

    #[test]
    fn the_bounds_leave_most_connections_to_others() {
        let bounds = |connections| (Visitors::new(connections).most, Visitors::new(connections).of_one);
        assert_eq!(bounds(8192), (1024, 64));
        assert_eq!(bounds(768), (192, 64));
        assert_eq!(bounds(1), (1, 1));
    }
}
