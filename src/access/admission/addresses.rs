//! The addresses of sessions (`vip` of a grant; zero-trust contract, section 6.3): each active session of a pool has its own address of the
//! network of the pool, until it ends. The network itself, its first host, which is for the gateway, and the broadcast address are not used.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;
use uuid::Uuid;

use crate::{
    base::{Result, TenantScope, network},
    store::{Stamp, Tx, columns::EndReason, tables::SessionsAt},
};

/// How many addresses are looked up at once: the first time, and then.
const FIRST: u128 = 32;
const NEXT: u128 = 512;
/// Maximum number of addresses of a network that are used.
const MOST: u128 = 1 << 64;
/// Maximum number of sessions that are ended because others need their addresses.
const UNSTARTED: u64 = 100;

/// The addresses of a network that sessions may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hosts {
    is_v4: bool,
    first: u128,
    count: u128,
}

impl Hosts {
    fn of(net: IpNet) -> Self {
        let (is_v4, base, hosts) = match net {
            IpNet::V4(net) => (true, u32::from(net.network()).into(), u32::from(net.hostmask()).into()),
            IpNet::V6(net) => (false, u128::from(net.network()), u128::from(net.hostmask())),
        };
        let unused = if is_v4 { 2 } else { 1 };
        Self { is_v4, first: base.saturating_add(2), count: u128::saturating_sub(hosts, unused).min(MOST) }
    }

    /// `many` addresses from a place on, and on from the first one after the last one.
    fn some(self, from: u128, many: u128) -> Vec<IpAddr> {
        (0..many.min(self.count)).map(|step| self.at((from % self.count + step) % self.count)).collect()
    }

    fn at(self, place: u128) -> IpAddr {
        let number = self.first + place;
        match u32::try_from(number) {
            Ok(number) if self.is_v4 => Ipv4Addr::from(number).into(),
            _ => Ipv6Addr::from(number).into(),
        }
    }
}

/// An address for a new session of a pool; `None` if none is free. If there is no other, sessions that never started lose theirs. Unless the
/// tenant is locked, another session may get the same one first.
pub(super) async fn choose(tx: &Tx, scope: TenantScope, pool: Uuid, cidr: &str) -> Result<Option<IpAddr>> {
    let Some(hosts) = network::parse(cidr).map(Hosts::of).filter(|hosts| hosts.count > 0) else { return Ok(None) };
    if let Some(free) = find(tx, scope, pool, hosts).await? {
        return Ok(Some(free));
    }
    let (sessions, now) = (tx.tenant(scope).access_sessions(), Stamp::from(tx.now()));
    let unstarted = sessions.unstarted_with_address(pool, now, UNSTARTED).await?;
    if unstarted.is_empty() {
        return Ok(None);
    }
    tx.end_access_sessions(scope, SessionsAt::Ids(&unstarted), EndReason::NotStarted).await?;
    find(tx, scope, pool, hosts).await
}

/// A free address. The search begins at random, so that one that was just freed is not used again at once.
async fn find(tx: &Tx, scope: TenantScope, pool: Uuid, hosts: Hosts) -> Result<Option<IpAddr>> {
    let (start, sessions) = (rand::random_range(0..hosts.count), tx.tenant(scope).access_sessions());
    let (mut done, mut many) = (0, FIRST);
    while done < hosts.count {
        let some = hosts.some(start + done, many.min(hosts.count - done));
        let texts: Vec<_> = some.iter().map(IpAddr::to_string).collect();
        let held: HashSet<_> = sessions.held_addresses(pool, &texts).await?.into_iter().collect();
        if let Some((free, _)) = some.iter().zip(&texts).find(|(_, text)| !held.contains(*text)) {
            return Ok(Some(*free));
        }
        (done, many) = (done + many, NEXT);
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(cidr: &str) -> Hosts {
        Hosts::of(network::parse(cidr).unwrap())
    }

    fn all(cidr: &str) -> Vec<String> {
        let hosts = hosts(cidr);
        if hosts.count == 0 { Vec::new() } else { hosts.some(0, 16).iter().map(IpAddr::to_string).collect() }
    }

    #[test]
    fn the_network_the_gateway_and_the_broadcast_address_are_not_used() {
        assert_eq!(all("10.0.0.0/29"), ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]);
        assert_eq!(all("10.0.0.4/30"), ["10.0.0.6"]);
        assert_eq!(all("2001:db8::/126"), ["2001:db8::2", "2001:db8::3"]);
        for none in ["10.0.0.0/31", "10.0.0.1/32", "2001:db8::/127", "2001:db8::1/128"] {
            assert!(all(none).is_empty(), "{none}");
        }
        assert_eq!((hosts("100.64.0.0/10").count, hosts("0.0.0.0/0").count), ((1 << 22) - 3, (1 << 32) - 3));
        assert_eq!(hosts("::/0").count, MOST);
    }

    #[test]
    fn the_search_starts_anywhere_and_sees_each_address_once() {
        let hosts = hosts("10.0.0.0/29");
        let seen: Vec<_> = hosts.some(3, 99).iter().map(IpAddr::to_string).collect();
        assert_eq!(seen, ["10.0.0.5", "10.0.0.6", "10.0.0.2", "10.0.0.3", "10.0.0.4"]);
    }
}
