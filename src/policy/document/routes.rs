//! Validation of the rules for networks.

use std::collections::HashMap;

use super::{
    MAX_ROUTES, Route,
    network::Network,
    ports::Ports,
    violations::Violations,
    words::{Access, Protocol},
};
use crate::proto::zerotrust::v1::PolicyRoute;

/// Maximum length of the id of a route.
const MAX_ID: usize = 64;

/// Validates rules. Returns those that are valid.
pub(super) fn read(path: &str, routes: &[PolicyRoute], violations: &mut Violations) -> Vec<Route> {
    if !violations.at_most(path, routes.len(), MAX_ROUTES) {
        return Vec::new();
    }
    let mut first = HashMap::with_capacity(routes.len());
    let mut valid = Vec::with_capacity(routes.len());
    for (at, route) in routes.iter().enumerate() {
        let path = format!("{path}[{at}]");
        let earlier = *first.entry(route.id.as_str()).or_insert(at);
        if earlier != at && is_id(&route.id) {
            violations.add(format!("{path}.id"), format!("must be unique; routes[{earlier}] has it"));
        }
        valid.extend(read_one(&path, route, violations));
    }
    valid
}

fn read_one(path: &str, route: &PolicyRoute, violations: &mut Violations) -> Option<Route> {
    let id = Some(&route.id).filter(|id| is_id(id)).cloned();
    if id.is_none() {
        violations.add(format!("{path}.id"), "must have 1 to 64 letters, digits and `. _ -`");
    }
    let cidr = violations.check(&format!("{path}.cidr"), Network::read(&route.cidr));
    let protocol = match &route.protocol {
        Some(word) => violations.word(&format!("{path}.protocol"), word),
        None => Some(Protocol::Any),
    };
    let ports = match route.ports.as_deref() {
        None => Some(None),
        Some(_) if protocol == Some(Protocol::Any) => {
            violations.add(format!("{path}.ports"), "must not be set for the protocol any; set protocol to tcp or udp");
            None
        }
        Some(text) => violations.check(&format!("{path}.ports"), Ports::read(text)).map(Some),
    };
    let action = violations.word::<Access>(&format!("{path}.action"), &route.action);
    Some(Route { id: id?, cidr: cidr?, protocol: protocol?, ports: ports?, action: action? })
}

fn is_id(id: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=MAX_ID).contains(&id.len()) && id.bytes().all(allowed)
}
