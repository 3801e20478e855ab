//! Which rule decides about a connection (zero-trust contract, decisions, "Versions and explain").

use std::{cmp::Reverse, net::IpAddr};

use super::{
    document::{
        Route,
        words::{Access, Protocol},
    },
    resolve::{Published, Resolved},
};

/// A connection of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    pub destination: IpAddr,
    /// [`Protocol::Any`] for one that is neither TCP nor UDP, which only rules for any protocol match.
    pub protocol: Protocol,
    /// Without a port, only rules without ports match.
    pub port: Option<u16>,
}

/// Why a connection is allowed or denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason<'p> {
    /// By a rule.
    Route(&'p str),
    /// No rule matches: by the access to all else.
    DefaultAccess,
}

/// The decision about a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<'p> {
    pub access: Access,
    pub reason: Reason<'p>,
    /// The policy that decides; `None` for a documented default.
    pub policy: Option<&'p Published>,
}

/// Decides about a connection of a device with this policy.
pub fn explain<'p>(resolved: &Resolved<'p>, connection: Connection) -> Decision<'p> {
    // An IPv4 address in IPv6 notation is that IPv4 address.
    let connection = Connection { destination: connection.destination.to_canonical(), ..connection };
    let routes = resolved.routes_from.and_then(|policy| policy.document.routes.as_deref()).unwrap_or_default();
    let matching = routes.iter().filter(|route| matches(route, connection));
    match matching.min_by_key(|route| precedence(route)) {
        Some(route) => {
            Decision { access: route.action, reason: Reason::Route(&route.id), policy: resolved.routes_from }
        }
        None => Decision {
            access: resolved.document.default_access.unwrap_or(Access::Deny),
            reason: Reason::DefaultAccess,
            policy: resolved.default_access_from,
        },
    }
}

fn matches(route: &Route, connection: Connection) -> bool {
    let of_protocol = route.protocol == Protocol::Any || route.protocol == connection.protocol;
    let of_ports = route.ports.is_none_or(|ports| connection.port.is_some_and(|port| ports.contains(port)));
    of_protocol && of_ports && route.cidr.contains(connection.destination)
}

/// The rule with the least value decides: the longer prefix, a named protocol before any, a port before a range before none, and
/// then deny before allow.
fn precedence(route: &Route) -> (Reverse<u8>, bool, Reverse<u8>, bool) {
    let (any, allows) = (route.protocol == Protocol::Any, route.action == Access::Allow);
    (Reverse(route.cidr.prefix()), any, Reverse(route.ports_rank()), allows)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        policy::{
            document::Document,
            resolve::{Subject, resolve},
            scope::Scope,
        },
        store::Stamp,
    };

    /// The access and the rule for TCP to an address and port. A rule is `id cidr protocol ports action`, with `-` for no ports.
    fn tcp(rules: &[&str], destination: &str, port: u16) -> (Access, String) {
        let connection =
            Connection { destination: destination.parse().unwrap(), protocol: Protocol::Tcp, port: Some(port) };
        decide(rules, connection)
    }

    fn decide(rules: &[&str], connection: Connection) -> (Access, String) {
        let policies = [policy(rules)];
        let subject = Subject { device: Uuid::nil(), groups: Vec::new() };
        let resolved = resolve(&policies, &subject).unwrap();
        let decision = explain(&resolved, connection);
        let rule = match decision.reason {
            Reason::Route(id) => id.to_owned(),
            Reason::DefaultAccess => "default".to_owned(),
        };
        (decision.access, rule)
    }

    fn policy(rules: &[&str]) -> Published {
        let route = |rule: &&str| {
            let parts: Vec<_> = rule.split(' ').collect();
            let mut route = serde_json::json!({
                "id": parts[0], "cidr": parts[1], "protocol": parts[2], "ports": parts[3], "action": parts[4],
            });
            if parts[3] == "-" {
                route.as_object_mut().unwrap().remove("ports");
            }
            route
        };
        let routes: Vec<_> = rules.iter().map(route).collect();
        let document = Document::from_json(&serde_json::json!({"routes": routes}).to_string()).unwrap();
        Published {
            id: Uuid::nil(),
            version: 1,
            scope: Scope::Tenant,
            priority: 0,
            canary: None,
            document,
            expires_at: Stamp::from_micros(0),
        }
    }

    #[test]
    fn the_most_specific_rule_decides() {
        let rules = [
            "all 0.0.0.0/0 any - allow",
            "net 10.0.0.0/8 any - deny",
            "tcp 10.0.0.0/8 tcp - allow",
            "range 10.0.0.0/8 tcp 400-500 deny",
            "port 10.0.0.0/8 tcp 443 allow",
            "host 10.1.1.1/32 any - deny",
        ];
        let rule = |destination: &str, port| tcp(&rules, destination, port).1;
        assert_eq!(rule("192.0.2.1", 443), "all");
        assert_eq!(rule("10.2.2.2", 22), "tcp");
        assert_eq!(rule("10.2.2.2", 401), "range");
        assert_eq!(rule("10.2.2.2", 443), "port");
        assert_eq!(rule("10.1.1.1", 443), "host");
        assert_eq!(rule("::ffff:10.1.1.1", 443), "host");
        assert_eq!(rule("2001:db8::1", 443), "default");
    }

    #[test]
    fn deny_decides_at_the_same_specificity() {
        let rules = ["a 10.0.0.0/8 tcp 443 allow", "d 10.0.0.0/8 tcp 443 deny"];
        assert_eq!(tcp(&rules, "10.0.0.1", 443), (Access::Deny, "d".to_owned()));
        let ranges = ["d 10.0.0.0/8 tcp 400-500 deny", "a 10.0.0.0/8 tcp 443-444 allow"];
        assert_eq!(tcp(&ranges, "10.0.0.1", 443).1, "d");
    }

    #[test]
    fn what_no_rule_matches_has_the_default_access() {
        let rules = ["a 10.0.0.0/8 udp 53 allow"];
        assert_eq!(tcp(&rules, "10.0.0.1", 53), (Access::Deny, "default".to_owned()));
        let policies =
            [Published { document: Document::from_json(r#"{"default_access":"allow"}"#).unwrap(), ..policy(&[]) }];
        let resolved = resolve(&policies, &Subject { device: Uuid::nil(), groups: Vec::new() }).unwrap();
        let connection =
            Connection { destination: "192.0.2.1".parse().unwrap(), protocol: Protocol::Udp, port: Some(53) };
        let expected = Decision { access: Access::Allow, reason: Reason::DefaultAccess, policy: Some(&policies[0]) };
        assert_eq!(explain(&resolved, connection), expected);
    }

    #[test]
    fn other_protocols_and_connections_without_a_port_match_only_rules_without() {
        let rules = ["any 10.0.0.0/8 any - allow", "tcp 10.0.0.0/8 tcp - deny", "port 10.0.0.0/8 tcp 443 allow"];
        let to = |protocol, port| {
            let connection = Connection { destination: "10.0.0.1".parse().unwrap(), protocol, port };
            decide(&rules, connection).1
        };
        assert_eq!(to(Protocol::Any, None), "any");
        assert_eq!(to(Protocol::Tcp, None), "tcp");
        assert_eq!(to(Protocol::Tcp, Some(443)), "port");
        assert_eq!(to(Protocol::Udp, Some(443)), "any");
    }
}
