//! The address of OpenBAO, and the names that become parts of paths.

use std::{fmt, str::FromStr};

use url::{Host, Url};

use crate::base::host::is_host;

/// Maximum length of a name, in bytes.
const LONGEST: usize = 255;

/// The address of an OpenBAO server: scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(Url);

/// The text is not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address of OpenBAO")]
pub struct InvalidAddress;

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let url = Url::parse(text).map_err(|_| InvalidAddress)?;
        let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        let is_root = url.path() == "/" && url.fragment().is_none();
        if matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(is_host) && plain && is_root {
            Ok(Self(url))
        } else {
            Err(InvalidAddress)
        }
    }
}

impl Address {
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Whether the host is certainly this machine.
    pub fn is_loopback(&self) -> bool {
        match self.0.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            None => false,
        }
    }

    /// The URL of a path below `/v1/`; `None` if the path breaks the rule for paths.
    pub(super) fn of(&self, path: &str) -> Option<String> {
        is_path(path).then(|| format!("{}v1/{path}", self.0))
    }
}

/// Whether a path can be requested: `[A-Za-z0-9][A-Za-z0-9._/-]*` without `..` or an empty part. Nothing in it needs to be
/// encoded, so a value cannot change which path is requested.
pub(super) fn is_path(path: &str) -> bool {
    let begins = path.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
    let allowed = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte));
    begins && allowed && !path.contains("..") && !path.contains("//") && !path.ends_with('/')
}

/// Whether a text is one part of a path.
fn is_name(text: &str) -> bool {
    is_path(text) && !text.contains('/') && text.len() <= LONGEST
}

/// The text is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to {LONGEST} letters, digits, dots, dashes or underscores, and begin with a letter or digit")]
pub struct InvalidName;

/// The name of an object in OpenBAO: a connection, a database role, a key. It is one part of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<str>);

impl Name {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if is_name(text) { Ok(Self(text.into())) } else { Err(InvalidName) }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A namespace, such as `platform/production`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace(String);

impl Namespace {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Namespace {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let text = text.strip_suffix('/').unwrap_or(text);
        if text.split('/').all(is_name) { Ok(Self(text.to_owned())) } else { Err(InvalidName) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_only_a_scheme_a_host_and_a_port() {
        for good in ["http://127.0.0.1:8200", "https://bao.example.com", "https://[::1]:8200/"] {
            let address: Address = good.parse().unwrap();
            let url = address.of("sys/health").unwrap();
            assert_eq!(url, format!("{}/v1/sys/health", good.trim_end_matches('/')));
        }
        for bad in [
            "bao.example.com:8200",
            "ftp://bao.example.com",
            "https://bao.example.com/v1",
            "https://bao.example.com?x=1",
            "https://bao.example.com/#x",
            "https://token@bao.example.com",
            "https://a:b@bao.example.com",
            "https://bao.example.com;password=x",
            "",
        ] {
            assert_eq!(bad.parse::<Address>(), Err(InvalidAddress), "{bad}");
        }
        let loopback = |text: &str| text.parse::<Address>().unwrap().is_loopback();
        assert!(loopback("http://localhost:1") && loopback("http://127.3.4.5") && loopback("http://[::1]"));
        assert!(!loopback("http://10.0.0.1") && !loopback("http://localhost.example.com"));
    }

    #[test]
    fn a_path_contains_nothing_that_changes_its_meaning() {
        let address: Address = "http://127.0.0.1:8200".parse().unwrap();
        for good in ["sys/health", "database/creds/tenant_acme-role", "a.b/9"] {
            assert!(address.of(good).is_some(), "{good}");
        }
        for bad in ["", "/sys", "sys/", "a//b", "a/../b", "a..b", "a?b", "a#b", "a b", "a%2fb", "ä", "-a", "a\nb"] {
            assert_eq!(address.of(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_name_is_one_part_of_a_path() {
        for good in ["acme", "9lives", "tenant_acme-role.1"] {
            assert_eq!(good.parse::<Name>().unwrap().as_str(), good);
        }
        let long = "a".repeat(LONGEST + 1);
        for bad in ["", "a/b", "..", "a..b", "-a", "_a", ".a", "a b", "a\0", long.as_str()] {
            assert_eq!(bad.parse::<Name>(), Err(InvalidName), "{bad:?}");
        }
        assert_eq!("platform/production/".parse::<Namespace>().unwrap().as_str(), "platform/production");
        for bad in ["", "/", "/a", "a//b", "a/../b", "a\r\nb"] {
            assert!(bad.parse::<Namespace>().is_err(), "{bad:?}");
        }
    }
}
