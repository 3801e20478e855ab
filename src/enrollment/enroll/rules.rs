//! Validation of what a client sends when it enrolls.

use super::{GivenKey, Subject as Given};
use crate::{
    base::{EnrolledKind, Error, Result, error::Reason, public_key::PublicKey, text},
    enrollment::{csr, key_proof},
    store::columns::Platform,
};

/// Maximum length of names and versions, in characters.
const MAX_NAME: usize = 64;
/// Maximum length of the digest of the hardware, in characters.
const MAX_HARDWARE: usize = 128;
/// Maximum number and length of the endpoints of a gateway.
const MAX_ENDPOINTS: usize = 8;
const MAX_ENDPOINT: usize = 255;

/// A valid [`Subject`](super::Subject).
#[derive(Clone, Debug)]
pub(super) enum Subject {
    Device {
        name: String,
        platform: Platform,
        os_version: String,
        client_version: String,
        hardware_id_hash: Option<String>,
    },
    Gateway {
        name: String,
        region: String,
        endpoints: Vec<String>,
        version: String,
    },
}

impl Subject {
    pub(super) fn kind(&self) -> EnrolledKind {
        match self {
            Self::Device { .. } => EnrolledKind::Device,
            Self::Gateway { .. } => EnrolledKind::Gateway,
        }
    }
}

pub(super) fn subject(given: Given) -> Result<Subject> {
    match given {
        Given::Device { name, platform, os_version, client_version, hardware_id_hash } => Ok(Subject::Device {
            name: self::name("device.name", &name)?,
            platform: self::platform(&platform)?,
            os_version: short("device.os_version", &os_version, MAX_NAME)?,
            client_version: short("device.client_version", &client_version, MAX_NAME)?,
            hardware_id_hash: hardware_id_hash
                .map(|text| short("device.hardware_id_hash", &text, MAX_HARDWARE))
                .transpose()?
                .filter(|text| !text.is_empty()),
        }),
        Given::Gateway { name, region, endpoints, version } => Ok(Subject::Gateway {
            name: self::name("gateway.name", &name)?,
            region: short("gateway.region", &region, MAX_NAME)?,
            endpoints: self::endpoints(&endpoints)?,
            version: short("gateway.version", &version, MAX_NAME)?,
        }),
    }
}

/// The key of a client, which has proven that it has the private one.
pub(super) fn key(given: GivenKey, token: &str) -> Result<PublicKey> {
    match given {
        GivenKey::Csr(pem) => csr::read(&pem),
        GivenKey::Jwk { key, proof, nonce } => key_proof::read(&key, &proof, nonce.as_deref(), token),
    }
}

fn name(field: &str, given: &str) -> Result<String> {
    text::name_of(field, given, 1..=MAX_NAME, "a name must have 1 to 64 characters")
}

/// A text that may be empty.
fn short(field: &str, given: &str, most: usize) -> Result<String> {
    if given.is_empty() {
        return Ok(String::new());
    }
    text::name_of(
        field,
        given,
        1..=most,
        if most == MAX_NAME { "at most 64 characters" } else { "at most 128 characters" },
    )
}

fn platform(word: &str) -> Result<Platform> {
    let found = Platform::ALL.iter().copied().find(|platform| platform.as_str() == word);
    let message = "the platform must be windows, macos, linux, ios, android or headless";
    found.ok_or_else(|| invalid("device.platform", message.to_owned()))
}

/// Addresses or names with a port, without duplicates.
fn endpoints(given: &[String]) -> Result<Vec<String>> {
    const FIELD: &str = "gateway.endpoints";
    if given.len() > MAX_ENDPOINTS {
        return Err(invalid(FIELD, format!("at most {MAX_ENDPOINTS} endpoints")));
    }
    let mut endpoints = Vec::with_capacity(given.len());
    for text in given {
        if !is_endpoint(text) {
            let message = "an endpoint must be a name or an address with a port, such as gw1.example.com:51820 or [2001:db8::1]:51820";
            return Err(invalid(FIELD, message.to_owned()));
        }
        if !endpoints.contains(text) {
            endpoints.push(text.clone());
        }
    }
    Ok(endpoints)
}

fn is_endpoint(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok()),
        None => !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)),
    };
    host && text.len() <= MAX_ENDPOINT
        && port.parse::<u16>().is_ok_and(|number| number > 0 && number.to_string() == port)
}

fn invalid(field: &str, message: String) -> Error {
    Error::invalid(Reason::InvalidArgument, field, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_have_a_host_and_a_port() {
        for good in ["gw1.example.com:51820", "10.0.0.1:1", "[2001:db8::1]:51820"] {
            assert!(is_endpoint(good), "{good}");
        }
        for bad in [
            "",
            "gw1",
            "gw1:",
            "gw1:0",
            "gw1:65536",
            "gw1:+1",
            "gw1:01",
            ":1",
            "2001:db8::1:51820",
            "[10.0.0.1]:1",
            "a b:1",
        ] {
            assert!(!is_endpoint(bad), "{bad}");
        }
        let twice = ["a:1".to_owned(), "a:1".to_owned()];
        assert_eq!(endpoints(&twice).unwrap(), ["a:1"]);
        assert!(endpoints(&vec!["a:1".to_owned(); 9]).is_err());
    }

    #[test]
    fn each_member_has_its_rule() {
        let device = |name: &str, platform: &str, os: &str| Given::Device {
            name: name.to_owned(),
            platform: platform.to_owned(),
            os_version: os.to_owned(),
            client_version: String::new(),
            hardware_id_hash: Some(String::new()),
        };
        let field = |given| subject(given).unwrap_err().violations[0].field.clone();
        assert!(subject(device("laptop", "linux", "")).is_ok());
        assert_eq!(field(device("", "linux", "")), "device.name");
        assert_eq!(field(device("laptop", "plan9", "")), "device.platform");
        assert_eq!(field(device("laptop", "linux", &"x".repeat(65))), "device.os_version");
    }
}
