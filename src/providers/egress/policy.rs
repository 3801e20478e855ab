//! The addresses to which requests may go: public ones, and networks that the configuration allows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// IPv4 networks that are not public (IANA special-purpose registry): "this network", private, shared, loopback, link-local with
/// the metadata services of clouds, protocol assignments, documentation, 6to4 relays, benchmarking, multicast, reserved.
const SPECIAL_V4: [(u32, u8); 16] = [
    (0x0000_0000, 8),
    (0x0a00_0000, 8),
    (0x6440_0000, 10),
    (0x7f00_0000, 8),
    (0xa9fe_0000, 16),
    (0xac10_0000, 12),
    (0xc000_0000, 24),
    (0xc000_0200, 24),
    (0xc058_6300, 24),
    (0xc0a8_0000, 16),
    (0xc612_0000, 15),
    (0xc633_6400, 24),
    (0xcb00_7100, 24),
    (0xe000_0000, 4),
    (0xf000_0000, 4),
    // The platform service of Azure, on a public address.
    (0xa83f_8110, 32),
];

/// IPv6 global unicast. Everything outside of it is special: loopback, unique local with metadata services, link-local,
/// site-local, multicast, discard.
const GLOBAL_V6: (u128, u8) = (0x2000 << 112, 3);

/// Special networks within it: protocol assignments with Teredo and ORCHID, documentation, 6to4, segment routing.
const SPECIAL_V6: [(u128, u8); 4] =
    [(0x2001 << 112, 23), (0x2001_0db8 << 96, 32), (0x2002 << 112, 16), (0x3fff << 112, 20)];

/// The well-known prefix of NAT64 (RFC 6052).
const NAT64: (u128, u8) = (0x0064_ff9b << 96, 96);

/// The addresses to which requests may go. The default allows only public ones.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    allowed: Vec<IpNet>,
}

impl Policy {
    /// Allows public addresses and these networks.
    pub fn allowing(networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self { allowed: networks.into_iter().collect() }
    }

    /// Allows all addresses. Only for hosts that a setting names: an operator may use any of their own.
    pub fn anywhere() -> Self {
        let all = |ip: IpAddr| IpNet::new_assert(ip, 0);
        Self { allowed: vec![all(Ipv4Addr::UNSPECIFIED.into()), all(Ipv6Addr::UNSPECIFIED.into())] }
    }

    /// Whether requests may go to an address. An IPv4 address inside an IPv6 address is checked as IPv4.
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = plain(address);
        self.allowed.iter().any(|network| network.contains(&address)) || is_public(address)
    }
}

/// The IPv4 address inside an IPv6 address (mapped, compatible or NAT64), or the address itself.
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let bits = v6.to_bits();
    // The last 32 bits.
    let v4 = IpAddr::V4(Ipv4Addr::from_bits(bits as u32));
    let is_compatible = bits >> 32 == 0 && bits > 0xffff;
    if v6.to_ipv4_mapped().is_some() || is_compatible || contains_v6(NAT64, v6) { v4 } else { address }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !SPECIAL_V4.into_iter().any(|network| contains_v4(network, v4)),
        IpAddr::V6(v6) => contains_v6(GLOBAL_V6, v6) && !SPECIAL_V6.into_iter().any(|network| contains_v6(network, v6)),
    }
}

fn contains_v4((network, prefix): (u32, u8), address: Ipv4Addr) -> bool {
    Ipv4Net::new(Ipv4Addr::from_bits(network), prefix).is_ok_and(|network| network.contains(&address))
}

fn contains_v6((network, prefix): (u128, u8), address: Ipv6Addr) -> bool {
    Ipv6Net::new(Ipv6Addr::from_bits(network), prefix).is_ok_and(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(policy: &Policy, address: &str) -> bool {
        policy.allows(address.parse().unwrap())
    }

    #[test]
    fn special_addresses_are_refused_in_every_form() {
        let policy = Policy::default();
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.19.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!allows(&policy, address), "{address}");
        }
    }

    #[test]
    fn public_addresses_are_allowed() {
        for address in
            ["1.1.1.1", "93.184.215.14", "172.32.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
        {
            assert!(allows(&Policy::default(), address), "{address}");
        }
    }

    #[test]
    fn a_policy_for_settings_allows_all_addresses() {
        for address in ["127.0.0.1", "10.1.2.3", "169.254.169.254", "1.1.1.1", "::1", "fd00::1", "::ffff:10.0.0.1"] {
            assert!(allows(&Policy::anywhere(), address), "{address}");
        }
    }

    #[test]
    fn only_the_configured_networks_are_allowed_in_addition() {
        let policy = Policy::allowing(["10.1.0.0/16".parse().unwrap(), "fd00::/64".parse().unwrap()]);
        for (address, is_allowed) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("64:ff9b::a01:203", true),
            ("10.2.0.1", false),
            ("fd00::1", true),
            ("fd00:0:0:1::1", false),
            ("127.0.0.1", false),
        ] {
            assert_eq!(allows(&policy, address), is_allowed, "{address}");
        }
    }
}
