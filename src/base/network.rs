//! Networks in CIDR notation.

use std::net::IpAddr;

use ipnet::IpNet;

/// Parses a network such as `10.0.0.0/8`; an address without a prefix is a network of one. Numbers with leading zeros are
/// refused, as programs disagree on whether they are octal (RFC 6943, section 3.1.1).
pub fn parse(text: &str) -> Option<IpNet> {
    let Some((address, prefix)) = text.split_once('/') else { return text.parse::<IpAddr>().ok().map(IpNet::from) };
    let is_number = prefix.bytes().all(|b| b.is_ascii_digit()) && (prefix == "0" || !prefix.starts_with('0'));
    let prefix = prefix.parse().ok().filter(|_| is_number)?;
    IpNet::new(address.parse().ok()?, prefix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_meaning() {
        for good in ["10.0.0.0/8", "0.0.0.0/0", "192.0.2.1", "192.0.2.1/32", "2001:db8::/32", "::/0", "::1"] {
            assert!(parse(good).is_some(), "{good}");
        }
        for bad in [
            "010.0.0.1",
            "010.0.0.1/32",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "::/129",
            "10/8",
            "",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
