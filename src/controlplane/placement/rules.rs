//! What a placement may contain. Its names become SQL identifiers and segments of paths of OpenBAO, and it never has
//! credentials, so no character that separates them is allowed.

use std::net::IpAddr;

use super::{Placement, PlacementInput};
use crate::{
    base::{
        Error, Kind, Result,
        error::{Reason, Violation},
        text,
    },
    openbao::Name,
    store::columns::PlacementTier,
};

/// Maximum length of the list of hosts.
const LONGEST: usize = 255;
/// Maximum length of a host name (RFC 1035, section 2.3.4).
const LONGEST_HOST: usize = 253;
/// Maximum length of an identifier of PostgreSQL, in bytes.
const LONGEST_IDENTIFIER: usize = 63;
/// Maximum length of a region.
const LONGEST_REGION: usize = 64;

const HOST: &str = "a host must be a list of at most 255 characters of host names or addresses, separated by commas, \
                    without ports or users";
const PORT: &str = "a port must be from 1 to 65535";
const DBNAME: &str = "a dbname must have 1 to 63 letters, digits, '_' and '-' of ASCII, and must not start with '-'";
const REGION: &str = "a region must have 1 to 64 characters and no control characters";
const ROLE: &str = "an openbao_role must have 1 to 255 letters, digits, '_', '-' and '.' of ASCII, must start and end \
                    with a letter or digit, and must not contain '..'";

/// Reads a placement. An empty text counts as unset. Checks everything but the tier first, as the documented API does.
pub(in crate::controlplane) fn read(input: PlacementInput) -> Result<Placement> {
    let mut violations = Violations::default();
    let placement = Placement {
        host: violations.keep("host", given(input.host), HOST, hosts),
        port: violations.keep("port", input.port, PORT, |port| u16::try_from(port).ok().filter(|port| *port > 0)),
        dbname: violations.keep("dbname", given(input.dbname), DBNAME, |name| is_identifier(&name).then_some(name)),
        region: violations.keep("region", given(input.region), REGION, |region| {
            text::name_of("region", &region, 1..=LONGEST_REGION, REGION).ok()
        }),
        tier: PlacementTier::default(),
        openbao_role: violations
            .keep("openbao_role", given(input.openbao_role), ROLE, |role| is_role(&role).then_some(role)),
    };
    violations.none()?;
    Ok(Placement { tier: tier(input.tier.as_deref())?, ..placement })
}

/// The tier with a name.
fn tier(word: Option<&str>) -> Result<PlacementTier> {
    let Some(word) = word else { return Ok(PlacementTier::default()) };
    let unknown = || Error::new(Kind::InvalidArgument, Reason::PlacementTierUnknown, "Unknown placement tier.");
    PlacementTier::ALL.into_iter().find(|tier| tier.as_str() == word).ok_or_else(unknown)
}

/// The broken rules.
#[derive(Default)]
struct Violations(Vec<Violation>);

impl Violations {
    /// The value as `check` reads it; a refused one is recorded under the field.
    fn keep<T, U>(&mut self, field: &str, value: Option<T>, rule: &str, check: fn(T) -> Option<U>) -> Option<U> {
        let read = check(value?);
        if read.is_none() {
            self.0.push(Violation { field: field.to_owned(), description: rule.to_owned() });
        }
        read
    }

    fn none(self) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let message = self.0.iter().map(|violation| violation.description.as_str()).collect::<Vec<_>>().join("; ");
        Err(Error { violations: self.0, ..Error::new(Kind::InvalidArgument, Reason::InvalidArgument, message) })
    }
}

/// The text without surrounding white space, unless nothing is left.
fn given(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The hosts in lower case, without white space around them.
fn hosts(list: String) -> Option<String> {
    let hosts: Vec<_> = list.split(',').map(|host| host.trim().to_ascii_lowercase()).collect();
    let joined = hosts.join(",");
    (joined.len() <= LONGEST && hosts.iter().all(|host| is_host(host))).then_some(joined)
}

/// A host name or an address. What looks like an address of version 4 must be one: resolvers read `127.1` in their own ways.
fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let ends_in_number = || host.rsplit('.').next().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()));
    host.parse::<IpAddr>().is_ok() || (host.len() <= LONGEST_HOST && host.split('.').all(is_label) && !ends_in_number())
}

fn is_identifier(name: &str) -> bool {
    (1..=LONGEST_IDENTIFIER).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        && !name.starts_with('-')
}

/// What the client of OpenBAO accepts as a name, and ends with a letter or digit.
fn is_role(name: &str) -> bool {
    name.parse::<Name>().is_ok() && name.ends_with(|c: char| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(field: &str, value: &str) -> PlacementInput {
        let value = Some(value.to_owned());
        match field {
            "host" => PlacementInput { host: value, ..PlacementInput::default() },
            "dbname" => PlacementInput { dbname: value, ..PlacementInput::default() },
            "region" => PlacementInput { region: value, ..PlacementInput::default() },
            "tier" => PlacementInput { tier: value, ..PlacementInput::default() },
            _ => PlacementInput { openbao_role: value, ..PlacementInput::default() },
        }
    }

    fn broken(input: PlacementInput) -> Vec<String> {
        read(input).unwrap_err().violations.into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn an_empty_request_is_a_placement() {
        let none = Placement::default();
        assert_eq!(read(PlacementInput::default()).unwrap(), none);
        assert_eq!(none.tier, PlacementTier::Silo);
        for field in ["host", "dbname", "region", "openbao_role"] {
            assert_eq!(read(of(field, " \t")).unwrap(), none, "{field}");
        }
    }

    #[test]
    fn hosts_are_names_or_addresses() {
        for (host, stored) in [
            ("localhost", "localhost"),
            (" Pg-1.Example.COM ", "pg-1.example.com"),
            ("pg-1, pg_2 ,10.0.0.7", "pg-1,pg_2,10.0.0.7"),
            ("::1", "::1"),
            ("2001:DB8::7,pg", "2001:db8::7,pg"),
        ] {
            assert_eq!(read(of("host", host)).unwrap().host.as_deref(), Some(stored), "{host}");
        }
        for host in [
            "user:secret@pg",
            "postgres://pg",
            "pg:5432",
            "pg/app",
            "pg?sslmode=disable",
            "/run/postgresql",
            "pg password=x",
            "pg'",
            "pg,",
            ",pg",
            "pg..example",
            "-pg",
            "pg-",
            "127.1",
            "10.0.0.256",
            "a\0b",
            "b\u{fc}cher",
            &"a".repeat(64),
            &["pg"; 90].join(","),
        ] {
            assert_eq!(broken(of("host", host)), ["host"], "{host}");
        }
    }

    #[test]
    fn names_are_safe_in_statements_and_paths() {
        for name in ["tenant_acme", "0day", "A-b_c", "_x", &"a".repeat(63)] {
            assert_eq!(read(of("dbname", name)).unwrap().dbname.as_deref(), Some(name), "{name}");
        }
        for name in ["a b", "a\"b", "a'b", "a;b", "-a", "a.b", "a/b", "a\0", "\u{e4}", "a%", &"a".repeat(64)] {
            assert_eq!(broken(of("dbname", name)), ["dbname"], "{name}");
        }
        for name in ["acme-role", "a", "a.b_c-d", "0", &"a".repeat(255)] {
            assert_eq!(read(of("openbao_role", name)).unwrap().openbao_role.as_deref(), Some(name), "{name}");
        }
        for name in ["a/b", "../a", "a..b", ".", "a.", "_a", "a?x=1", "a#b", "a%2fb", "a b", "a\0", &"a".repeat(256)] {
            assert_eq!(broken(of("openbao_role", name)), ["openbao_role"], "{name}");
        }
    }

    #[test]
    fn a_port_is_one_of_tcp() {
        let port = |port| read(PlacementInput { port: Some(port), ..PlacementInput::default() });
        assert_eq!((port(1).unwrap().port, port(65535).unwrap().port), (Some(1), Some(65535)));
        for bad in [0, -1, 65536, i32::MIN, i32::MAX] {
            assert_eq!(port(bad).unwrap_err().violations[0].field, "port", "{bad}");
        }
    }

    #[test]
    fn all_broken_rules_are_reported_before_the_tier() {
        let input = PlacementInput {
            host: Some("@".to_owned()),
            port: Some(0),
            dbname: Some("\"".to_owned()),
            region: Some("a\nb".to_owned()),
            tier: Some("palace".to_owned()),
            openbao_role: Some("/".to_owned()),
        };
        assert_eq!(broken(input), ["host", "port", "dbname", "region", "openbao_role"]);
        for word in ["palace", "", "Silo"] {
            assert_eq!(read(of("tier", word)).unwrap_err().reason, Reason::PlacementTierUnknown, "{word}");
        }
        assert_eq!(read(of("tier", "pool")).unwrap().tier, PlacementTier::Pool);
    }
}
