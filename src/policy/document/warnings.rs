//! Warnings about a valid policy: rules that never decide, because others take precedence for everything that they match.

use std::collections::BTreeMap;

use super::{
    Document, Route,
    network::Network,
    words::{Access, Protocol},
};

/// The number of warnings that are reported.
const REPORTED: usize = 100;

/// The warnings about a policy, in the order of its routes.
pub fn warnings(document: &Document) -> Vec<String> {
    let mut found = Vec::new();
    if document.gateway_pools.as_ref().is_some_and(Vec::is_empty) {
        found.push("gateway_pools is empty: the devices of the scope cannot connect".to_owned());
    }
    let routes = document.routes.as_deref().unwrap_or_default();
    let shadowed = shadowed(routes);
    let more = shadowed.len().saturating_sub(REPORTED);
    found.extend(shadowed.into_iter().take(REPORTED).map(|(at, by)| text(routes, at, by)));
    if more > 0 {
        found.push(format!("{more} more routes never decide"));
    }
    found
}

fn text(routes: &[Route], at: usize, by: usize) -> String {
    let (route, other) = (&routes[at], &routes[by]);
    let does = match other.action {
        Access::Allow => "allows",
        Access::Deny => "denies",
    };
    format!("route {} (policy.routes[{at}]) never decides: route {} {does} all that it matches", route.id, other.id)
}

/// Rules of the same specificity: those for the same network and protocol that both have a port, a range, or no ports.
type Rank = (Network, Protocol, u8);

/// The positions of rules that never decide, each with that of a rule that decides instead. Only rules of the same specificity can
/// hide each other, so it takes O(n log n).
fn shadowed(routes: &[Route]) -> BTreeMap<usize, usize> {
    let mut ranks: BTreeMap<Rank, Vec<usize>> = BTreeMap::new();
    for (at, route) in routes.iter().enumerate() {
        ranks.entry((route.cidr, route.protocol, route.ports_rank())).or_default().push(at);
    }
    ranks.into_values().flat_map(|rank| hidden(routes, rank)).collect()
}

/// Those of the rules of one specificity whose ports are within those of another one that denies, or does the same.
fn hidden(routes: &[Route], mut rank: Vec<usize>) -> Vec<(usize, usize)> {
    let span = |at: usize| routes[at].ports.map_or((0, u16::MAX), |ports| (ports.first(), ports.last()));
    let denies = |at: usize| routes[at].action == Access::Deny;
    // Before a rule come all that can contain it: those that start earlier, or at the same port and end later.
    rank.sort_by_key(|at| (span(*at).0, u16::MAX - span(*at).1, !denies(*at), *at));
    let (mut denied, mut allowed): (Option<usize>, Option<usize>) = (None, None);
    let mut found = Vec::new();
    for at in rank {
        let contains = |other: &usize| span(*other).1 >= span(at).1;
        let by = denied.filter(contains).or_else(|| allowed.filter(|other| !denies(at) && contains(other)));
        found.extend(by.map(|by| (at, by)));
        let widest = if denies(at) { &mut denied } else { &mut allowed };
        if widest.is_none_or(|other| span(other).1 < span(at).1) {
            *widest = Some(at);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::document::ports::Ports;

    fn route(id: &str, cidr: &str, protocol: Protocol, ports: &str, action: Access) -> Route {
        let ports = Some(ports).filter(|ports| !ports.is_empty()).map(|ports| Ports::read(ports).unwrap());
        Route { id: id.to_owned(), cidr: Network::read(cidr).unwrap(), protocol, ports, action }
    }

    fn pairs(routes: &[Route]) -> Vec<(usize, usize)> {
        shadowed(routes).into_iter().collect()
    }

    #[test]
    fn a_rule_is_shadowed_by_one_of_the_same_specificity() {
        use Access::{Allow, Deny};
        use Protocol::{Any, Tcp, Udp};
        let net = "10.0.0.0/8";
        let of = |protocol, ports, action| route("r", net, protocol, ports, action);
        assert_eq!(pairs(&[of(Tcp, "443", Allow), of(Tcp, "443", Deny)]), [(0, 1)]);
        assert_eq!(pairs(&[of(Tcp, "443", Allow), of(Tcp, "443", Allow)]), [(1, 0)]);
        assert_eq!(pairs(&[of(Any, "", Deny), of(Any, "", Deny), of(Any, "", Allow)]), [(1, 0), (2, 0)]);
        assert_eq!(pairs(&[of(Tcp, "80-90", Allow), of(Tcp, "10-99", Deny)]), [(0, 1)]);
        assert_eq!(pairs(&[of(Tcp, "80-90", Deny), of(Tcp, "10-99", Allow)]), [], "deny wins");
        assert_eq!(pairs(&[of(Tcp, "80-90", Allow), of(Tcp, "85-99", Deny)]), [], "a part is left");
        assert_eq!(pairs(&[of(Tcp, "443", Allow), of(Tcp, "1-500", Deny)]), [], "a port is more specific");
        assert_eq!(pairs(&[of(Tcp, "", Allow), of(Any, "", Deny)]), [], "a protocol is more specific");
        assert_eq!(pairs(&[of(Tcp, "443", Allow), of(Udp, "443", Deny)]), []);
        assert_eq!(pairs(&[of(Any, "", Allow), route("s", "10.0.0.0/9", Any, "", Deny)]), []);
    }

    #[test]
    fn a_warning_names_both_rules() {
        let routes = vec![
            route("web", "10.0.0.0/8", Protocol::Tcp, "443", Access::Allow),
            route("block", "10.0.0.0/8", Protocol::Tcp, "443", Access::Deny),
        ];
        let document = Document { routes: Some(routes), gateway_pools: Some(Vec::new()), ..Document::default() };
        assert_eq!(
            warnings(&document),
            [
                "gateway_pools is empty: the devices of the scope cannot connect",
                "route web (policy.routes[0]) never decides: route block denies all that it matches",
            ]
        );
    }

    #[test]
    fn two_thousand_shadowed_rules_have_a_bounded_number_of_warnings() {
        let routes =
            (0..2000).map(|at| route(&at.to_string(), "10.0.0.0/8", Protocol::Any, "", Access::Deny)).collect();
        let found = warnings(&Document { routes: Some(routes), ..Document::default() });
        assert_eq!(found.len(), REPORTED + 1);
        assert_eq!(found.last().unwrap(), "1899 more routes never decide");
    }
}
