//! The ports of a rule.

use serde::{Deserialize, Serialize};

/// A port or a range of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Ports {
    first: u16,
    last: u16,
}

impl Ports {
    /// Parses a port such as `443` or a range such as `8000-9000`; a range of one port is a port. The error says what is wrong.
    pub fn read(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (Some(first), Some(last)) = (port(first), port(last)) else {
            return Err("must be a port of 1 to 65535, such as 443, or a range, such as 8000-9000".to_owned());
        };
        if first > last { Err("must not start after its end".to_owned()) } else { Ok(Self { first, last }) }
    }

    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    pub fn is_range(self) -> bool {
        self.first < self.last
    }

    pub fn first(self) -> u16 {
        self.first
    }

    pub fn last(self) -> u16 {
        self.last
    }
}

/// Parses a port: digits without leading zeros.
fn port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| is_number)
}

impl From<Ports> for String {
    fn from(ports: Ports) -> Self {
        if ports.is_range() { format!("{}-{}", ports.first, ports.last) } else { ports.first.to_string() }
    }
}

impl TryFrom<String> for Ports {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::read(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_a_number_or_a_range() {
        let form = |text: &str| Ports::read(text).map(String::from);
        for good in ["1", "443", "65535", "8000-9000", "1-65535"] {
            assert_eq!(form(good).unwrap(), good);
        }
        assert_eq!(form("443-443").unwrap(), "443");
        assert_eq!(form("9000-8000").unwrap_err(), "must not start after its end");
        for bad in ["", "0", "65536", "080", "+1", "80,443", "80-", "-80", "1-2-3", "http", "80 - 90"] {
            assert!(form(bad).is_err(), "{bad}");
        }
    }
}
