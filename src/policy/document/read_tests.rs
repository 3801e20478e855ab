//! Tests of the validation of policies.

use super::*;
use crate::proto::zerotrust::v1::PolicyRoute;

fn route(id: &str) -> PolicyRoute {
    PolicyRoute {
        id: id.to_owned(),
        cidr: "10.0.0.0/8".to_owned(),
        protocol: Some("tcp".to_owned()),
        ports: Some("443".to_owned()),
        action: "allow".to_owned(),
    }
}

fn with_routes(routes: Vec<PolicyRoute>) -> PolicyDocument {
    PolicyDocument { routes, ..PolicyDocument::default() }
}

/// The paths of the invalid members.
fn paths(message: PolicyDocument) -> Vec<String> {
    let error = read(&message, EmptyLists::default()).unwrap_err();
    error.violations.into_iter().map(|violation| violation.field).collect()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn a_section_that_is_absent_stays_absent() {
    assert_eq!(read(&PolicyDocument::default(), EmptyLists::default()).unwrap(), Document::default());
    let empty = EmptyLists { routes: true, gateway_pools: true };
    let document = read(&PolicyDocument::default(), empty).unwrap();
    assert_eq!((document.routes, document.gateway_pools), (Some(Vec::new()), Some(Vec::new())));
}

#[test]
fn each_invalid_member_is_named_by_its_path() {
    let bad = |change: fn(&mut PolicyRoute)| {
        let mut bad = route("r2");
        change(&mut bad);
        paths(with_routes(vec![route("r1"), bad]))
    };
    assert_eq!(bad(|route| route.cidr = "10.0.0.1/8".to_owned()), ["policy.routes[1].cidr"]);
    assert_eq!(bad(|route| route.id = "r1".to_owned()), ["policy.routes[1].id"]);
    assert_eq!(bad(|route| route.id = String::new()), ["policy.routes[1].id"]);
    assert_eq!(bad(|route| route.id = "x".repeat(65)), ["policy.routes[1].id"]);
    assert_eq!(bad(|route| route.protocol = Some("icmp".to_owned())), ["policy.routes[1].protocol"]);
    assert_eq!(bad(|route| route.protocol = Some("any".to_owned())), ["policy.routes[1].ports"]);
    assert_eq!(bad(|route| route.protocol = None), ["policy.routes[1].ports"]);
    assert_eq!(bad(|route| route.ports = Some("90-80".to_owned())), ["policy.routes[1].ports"]);
    assert_eq!(bad(|route| route.action = String::new()), ["policy.routes[1].action"]);
    let several = PolicyDocument {
        tunnel_mode: Some("half".to_owned()),
        default_access: Some(String::new()),
        min_auth_mode: Some("E".to_owned()),
        refresh_seconds: Some(59),
        min_client_version: Some("1.4".to_owned()),
        gateway_pools: texts(&["eu"]),
        dns: Some(PolicyDns { servers: texts(&["10.0.0.53", "dns"]), match_domains: texts(&["a b"]) }),
        ..PolicyDocument::default()
    };
    let expected = [
        "policy.gateway_pools[0]",
        "policy.tunnel_mode",
        "policy.default_access",
        "policy.min_auth_mode",
        "policy.dns.servers[1]",
        "policy.dns.match_domains[0]",
        "policy.refresh_seconds",
        "policy.min_client_version",
    ];
    assert_eq!(paths(several), expected);
}

#[test]
fn sections_have_their_rules() {
    let posture = |posture| paths(PolicyDocument { posture: Some(posture), ..PolicyDocument::default() });
    let required = texts(&["disk_encrypted", "fax"]);
    let bad = PolicyPosture { required, max_age_seconds: Some(1), on_fail: Some("shout".to_owned()) };
    let expected = ["policy.posture.max_age_seconds", "policy.posture.on_fail", "policy.posture.required[1]"];
    assert_eq!(posture(bad), expected);
    let session = |session| paths(PolicyDocument { session: Some(session), ..PolicyDocument::default() });
    let longer = PolicySession { max_seconds: Some(300), idle_seconds: Some(301), reauth_seconds: None };
    assert_eq!(session(longer), ["policy.session.idle_seconds"]);
    let short = PolicySession { max_seconds: Some(-1), idle_seconds: Some(0), reauth_seconds: Some(2_592_001) };
    assert_eq!(
        session(short),
        ["policy.session.max_seconds", "policy.session.idle_seconds", "policy.session.reauth_seconds"]
    );
    let window = |start: &str, end: &str, days: &[&str]| PolicyTimeWindow {
        days: texts(days),
        start: start.to_owned(),
        end: end.to_owned(),
    };
    let time_windows =
        vec![window("08:00", "24:00", &[]), window("22:00", "06:00", &["mon"]), window("8", "9", &["x"])];
    let conditions = PolicyConditions { countries_allow: texts(&["de", "DEU"]), time_windows };
    let document = PolicyDocument { conditions: Some(conditions), ..PolicyDocument::default() };
    let expected = [
        "policy.conditions.countries_allow[1]",
        "policy.conditions.time_windows[1].end",
        "policy.conditions.time_windows[2].days[0]",
        "policy.conditions.time_windows[2].start",
        "policy.conditions.time_windows[2].end",
    ];
    assert_eq!(paths(document), expected);
}

#[test]
fn an_item_is_listed_once() {
    let dns = PolicyDns { servers: texts(&["::1", "0::1"]), match_domains: texts(&["a", "b", "A"]) };
    let document = PolicyDocument { dns: Some(dns), ..PolicyDocument::default() };
    assert_eq!(paths(document), ["policy.dns.servers[1]", "policy.dns.match_domains[2]"]);
}

#[test]
fn values_are_stored_in_one_form() {
    let pool = "pool_01J7ST8Z0GFCQ9TCATDDY8V7GF";
    let dns = PolicyDns { servers: texts(&["2001:DB8::1"]), match_domains: texts(&["Bücher.example", "corp"]) };
    let message = PolicyDocument {
        gateway_pools: vec![pool.to_lowercase()],
        dns: Some(dns),
        posture: Some(PolicyPosture::default()),
        ..with_routes(vec![PolicyRoute { ports: Some("443-443".to_owned()), ..route("r1") }])
    };
    let document = read(&message, EmptyLists::default()).unwrap();
    assert_eq!(
        document.to_json().unwrap(),
        concat!(
            r#"{"routes":[{"id":"r1","cidr":"10.0.0.0/8","protocol":"tcp","ports":"443","action":"allow"}],"#,
            r#""dns":{"servers":["2001:db8::1"],"match_domains":["xn--bcher-kva.example","corp"]},"#,
            r#""gateway_pools":["pool_01J7ST8Z0GFCQ9TCATDDY8V7GF"],"#,
            r#""posture":{"required":[],"max_age_seconds":3600,"on_fail":"block"}}"#
        )
    );
}

#[test]
fn a_policy_has_at_most_two_thousand_routes() {
    let routes = |count: usize| with_routes((0..count).map(|at| route(&format!("r{at}"))).collect());
    assert_eq!(read(&routes(2000), EmptyLists::default()).unwrap().routes.unwrap().len(), 2000);
    assert_eq!(paths(routes(2001)), ["policy.routes"]);
}
