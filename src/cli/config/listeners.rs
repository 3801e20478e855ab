//! Whether the addresses of the listeners can all be bound.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::{Config, Problem};

/// The problem with addresses of which one takes the port of another.
pub(super) fn problems(config: &Config) -> Option<Problem> {
    let both = pairs(&config.listen).find(|(one, other)| collide(**one, **other));
    if let Some((one, other)) = both {
        let what = format_args!("must not have two addresses that take the same port: {one} and {other}");
        return Some(Problem::of("listen", what));
    }
    let mutual = config.mtls_listen?;
    let taken = config.listen.iter().find(|address| collide(**address, mutual))?;
    let what = format_args!("must not take the port of {taken} in listen (TENANTRY_LISTEN)");
    Some(Problem::of("mtls_listen", what))
}

/// Every two of the addresses.
fn pairs(addresses: &[SocketAddr]) -> impl Iterator<Item = (&SocketAddr, &SocketAddr)> {
    let each = addresses.iter().enumerate();
    each.flat_map(|(at, one)| addresses[at + 1..].iter().map(move |other| (one, other)))
}

/// Whether only one of two addresses can be bound. With port 0, each gets a port of its own.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port() && one.port() != 0 && (covers(one, other) || covers(other, one))
}

/// Whether a listener at one address takes the connections to the other.
fn covers(one: SocketAddr, other: SocketAddr) -> bool {
    let (wide, narrow) = (one.ip().to_canonical(), other.ip().to_canonical());
    match (wide, narrow) {
        (IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(_)) => takes_both_families(),
        (IpAddr::V4(wide), IpAddr::V4(narrow)) => wide.is_unspecified() || wide == narrow,
        (IpAddr::V6(wide), IpAddr::V6(narrow)) => {
            // A link-local address exists once on each link.
            let link = |address| if let SocketAddr::V6(address) = address { address.scope_id() } else { 0 };
            wide.is_unspecified() || wide == narrow && link(one) == link(other)
        }
        _ => false,
    }
}

/// Whether a listener at `[::]` takes connections over IPv4, too, as the system is configured.
fn takes_both_families() -> bool {
    if cfg!(target_os = "linux") {
        let setting = std::fs::read_to_string("/proc/sys/net/ipv6/bindv6only");
        return setting.map_or(true, |setting| setting.trim() != "1");
    }
    cfg!(target_vendor = "apple")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_one_port_collide_if_one_covers_the_other() {
        let collide = |one: &str, other: &str| {
            let (one, other) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(collide(one, other), collide(other, one));
            collide(one, other)
        };
        for (one, other) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("[::]:80", "[::1]:80"),
            ("[::1]:80", "[::1]:80"),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80"),
            ("0.0.0.0:80", "[::ffff:127.0.0.1]:80"),
            ("[fe80::1%1]:80", "[fe80::1%1]:80"),
        ] {
            assert!(collide(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("127.0.0.1:80", "127.0.0.1:81"),
            ("127.0.0.1:80", "127.0.0.2:80"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("0.0.0.0:0", "[::]:0"),
            ("0.0.0.0:80", "[::1]:80"),
            ("[fe80::1%1]:80", "[fe80::1%2]:80"),
        ] {
            assert!(!collide(one, other), "{one} {other}");
        }
        for other in ["127.0.0.1:80", "0.0.0.0:80"] {
            assert_eq!(collide("[::]:80", other), takes_both_families(), "{other}");
        }
    }
}
