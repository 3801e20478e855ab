//! The 200 paths of the router's benchmark: those of a control plane, with three to six segments.

/// The collections of a fictional control plane.
const COLLECTIONS: [&str; 20] = [
    "tenants",
    "projects",
    "users",
    "groups",
    "roles",
    "policies",
    "clusters",
    "instances",
    "volumes",
    "networks",
    "subnets",
    "gateways",
    "certificates",
    "secrets",
    "webhooks",
    "pipelines",
    "invoices",
    "quotas",
    "alerts",
    "reports",
];

/// The rest after the collection. `{}` is where parameterised paths have a variable.
const SHAPES: [&str; 10] = [
    "{}",
    "{}/status",
    "{}/members",
    "{}/members/{}",
    "{}/history/latest",
    "{}/settings/limits",
    "{}/settings/limits/{}",
    "{}/exports/{}/download",
    "{}/audit",
    "search/saved",
];

fn paths(variables: [&str; 2]) -> Vec<String> {
    let path = |collection: &str, shape: &str| {
        let rest = shape.replacen("{}", variables[0], 1).replacen("{}", variables[1], 1);
        format!("/v1/{collection}/{rest}")
    };
    COLLECTIONS.iter().flat_map(|collection| SHAPES.iter().map(move |shape| path(collection, shape))).collect()
}

/// Paths of literals only.
pub fn literal() -> Vec<String> {
    paths(["default", "primary"])
}

/// Paths with the variables `{id}` and `{part}`.
pub fn parameterised() -> Vec<String> {
    paths(["{id}", "{part}"])
}

/// A request for each of the [`parameterised`] paths.
pub fn requests() -> Vec<String> {
    paths(["0191f3a4-7c10-7b2e-9d31-5a6b7c8d9e0f", "northern"])
}
