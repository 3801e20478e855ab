//! The network of a rule.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::base::network;

/// A network without host bits, in canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Network(IpNet);

impl Network {
    /// Parses a network such as `10.0.0.0/8`; an address without a prefix is a network of one. The error says what is wrong.
    pub fn read(text: &str) -> Result<Self, String> {
        let net = network::parse(text).ok_or("must be a network in CIDR notation, such as 10.0.0.0/8")?;
        if net != net.trunc() {
            return Err(format!("has host bits; write {}", net.trunc()));
        }
        match net {
            // Destinations are IPv4 addresses then, which the rule would never match.
            IpNet::V6(six) if six.prefix_len() >= 96 && six.addr().to_ipv4_mapped().is_some() => {
                Err("is an IPv4 network in IPv6 notation; write it as an IPv4 network".to_owned())
            }
            net => Ok(Self(net)),
        }
    }

    pub fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    /// The number of bits that all its addresses share.
    pub fn prefix(self) -> u8 {
        self.0.prefix_len()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.0.to_string()
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::read(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_one_form() {
        let form = |text: &str| Network::read(text).map(String::from);
        assert_eq!(form("2001:DB8::/32").unwrap(), "2001:db8::/32");
        assert_eq!(form("192.0.2.7").unwrap(), "192.0.2.7/32");
        assert_eq!(form("0.0.0.0/0").unwrap(), "0.0.0.0/0");
        assert_eq!(form("10.0.0.1/8").unwrap_err(), "has host bits; write 10.0.0.0/8");
        assert!(form("::ffff:10.0.0.0/104").unwrap_err().contains("IPv4"));
        for text in ["", "corp", "10.0.0.0/33", "010.0.0.0/8", "10.0.0.0/08", "10/8", " 10.0.0.0/8"] {
            assert!(form(text).is_err(), "{text}");
        }
    }
}
