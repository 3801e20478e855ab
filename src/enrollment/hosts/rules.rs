//! Validation of what an agent says of its host. Nothing of it is verified.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use crate::base::{Error, Result, error::Reason, text};

/// Maximum length of a host name (RFC 1035, section 2.3.4), and of one of its labels.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;
/// Maximum number and length of shells.
const MAX_SHELLS: usize = 32;
const MAX_SHELL: usize = 64;
/// Maximum length of the version of an agent.
const MAX_VERSION: usize = 64;
/// Maximum length of the capabilities of an agent, in bytes of JSON.
const MAX_CAPABILITIES: usize = 16 * 1024;

/// What an agent says of its host. What it leaves out stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Description {
    pub active: bool,
    pub fqdn: String,
    pub hostname: String,
    pub ipv4: Option<String>,
    pub ipv6: Option<String>,
    pub script_execution_enabled: Option<bool>,
    pub is_privileged: Option<bool>,
    /// Empty if it says nothing of them.
    pub enabled_shells: Vec<String>,
    pub agent_version: Option<String>,
    pub agent_capabilities: Option<Value>,
}

/// The description in its normal form: names in lower case, addresses as they are usually written, an empty text as if it was left out.
pub(super) fn check(given: Description) -> Result<Description> {
    if given.enabled_shells.len() > MAX_SHELLS {
        return Err(invalid("enabled_shells", "at most 32 shells"));
    }
    let shells = given.enabled_shells.iter();
    Ok(Description {
        fqdn: name("fqdn", &given.fqdn)?,
        hostname: name("hostname", &given.hostname)?,
        ipv4: present(given.ipv4).map(|text| ipv4(&text)).transpose()?,
        ipv6: present(given.ipv6).map(|text| ipv6(&text)).transpose()?,
        enabled_shells: shells.map(|shell| words("enabled_shells", shell, MAX_SHELL)).collect::<Result<_>>()?,
        agent_version: present(given.agent_version)
            .map(|text| words("agent_version", &text, MAX_VERSION))
            .transpose()?,
        agent_capabilities: given.agent_capabilities.map(capabilities).transpose()?,
        ..given
    })
}

/// The text without surrounding white space, unless nothing is left.
fn present(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn name(field: &str, text: &str) -> Result<String> {
    let name = text.trim().to_ascii_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    let is_label = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if name.len() <= MAX_NAME && name.split('.').all(is_label) {
        return Ok(name.to_owned());
    }
    let rule = "a host name must have at most 253 letters, digits, '-' and '_' of ASCII, in parts of 1 to 63 that are separated by '.'";
    Err(invalid(field, rule))
}

fn ipv4(text: &str) -> Result<String> {
    let address = text.parse::<Ipv4Addr>().map_err(|_| invalid("ipv4", "not an IPv4 address"))?;
    Ok(address.to_string())
}

/// The address without the zone, which is a name of an interface of the host (RFC 4007, section 11).
fn ipv6(text: &str) -> Result<String> {
    let address = text.split_once('%').map_or(text, |(address, _)| address);
    let address = address.parse::<Ipv6Addr>().map_err(|_| invalid("ipv6", "not an IPv6 address"))?;
    Ok(address.to_string())
}

fn words(field: &str, text: &str, most: usize) -> Result<String> {
    text::name_of(field, text, 1..=most, "must have 1 to 64 characters")
}

fn capabilities(value: Value) -> Result<Value> {
    if value.to_string().len() <= MAX_CAPABILITIES {
        return Ok(value);
    }
    Err(invalid("agent_capabilities", "must have at most 16384 bytes"))
}

fn invalid(field: &str, message: &'static str) -> Error {
    Error::invalid(Reason::InvalidArgument, field, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn host() -> Description {
        Description { fqdn: "web-1.example.com".to_owned(), hostname: "web-1".to_owned(), ..Description::default() }
    }

    fn field(description: Description) -> String {
        check(description).unwrap_err().violations[0].field.clone()
    }

    #[test]
    fn a_description_is_normalized() {
        let checked = check(Description {
            fqdn: " Web-1.Example.COM. ".to_owned(),
            hostname: "WEB_1".to_owned(),
            ipv4: Some(" ".to_owned()),
            ipv6: Some("FE80:0::1%eth0".to_owned()),
            agent_version: Some(String::new()),
            ..Description::default()
        });
        let expected = Description { hostname: "web_1".to_owned(), ipv6: Some("fe80::1".to_owned()), ..host() };
        assert_eq!(checked.unwrap(), expected);
    }

    #[test]
    fn host_names_have_no_other_characters() {
        for good in ["a", "0", "a.b", "a-b_c.d", &"x".repeat(63)] {
            assert!(check(Description { fqdn: good.to_owned(), ..host() }).is_ok(), "{good}");
        }
        let long = vec!["x".repeat(62); 5].join(".");
        for bad in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a/b",
            "../../etc/passwd",
            "a'; DROP TABLE hosts; --",
            "a b",
            "a\0b",
            "\u{e4}.example",
            "a%2fb",
            &"x".repeat(64),
            &long,
        ] {
            assert_eq!(field(Description { fqdn: bad.to_owned(), ..host() }), "fqdn", "{bad}");
            assert_eq!(field(Description { hostname: bad.to_owned(), ..host() }), "hostname", "{bad}");
        }
    }

    #[test]
    fn the_other_members_have_their_rules() {
        let with = |ipv4: Option<&str>, ipv6: Option<&str>, version: Option<&str>| Description {
            ipv4: ipv4.map(str::to_owned),
            ipv6: ipv6.map(str::to_owned),
            agent_version: version.map(str::to_owned),
            ..host()
        };
        assert!(check(with(Some("10.0.0.7"), Some("2001:db8::7"), Some("1.2.3"))).is_ok());
        assert_eq!(field(with(Some("10.0.0"), None, None)), "ipv4");
        assert_eq!(field(with(None, Some("10.0.0.7"), None)), "ipv6");
        assert_eq!(field(with(None, None, Some(&"1".repeat(65)))), "agent_version");
        let shells =
            |count: usize, shell: &str| Description { enabled_shells: vec![shell.to_owned(); count], ..host() };
        assert!(check(shells(32, "bash")).is_ok());
        for bad in [shells(33, "bash"), shells(1, ""), shells(1, &"x".repeat(65)), shells(1, "a\nb")] {
            assert_eq!(field(bad), "enabled_shells");
        }
        let can = |length: usize| Description { agent_capabilities: Some(json!("x".repeat(length))), ..host() };
        assert!(check(can(MAX_CAPABILITIES - 2)).is_ok());
        assert_eq!(field(can(MAX_CAPABILITIES - 1)), "agent_capabilities");
    }
}
