//! Tests of the resolution of policies.

use super::*;

const TENANT: Scope = Scope::Tenant;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn policy(version: i64, scope: Scope, json: &str) -> Published {
    Published {
        id: id(version.unsigned_abs().into()),
        version,
        scope,
        priority: 100,
        canary: None,
        document: Document::from_json(json).unwrap(),
        expires_at: Stamp::from_micros(version),
    }
}

fn subject(device: u128, groups: &[u128]) -> Subject {
    Subject { device: id(device), groups: groups.iter().map(|group| id(*group)).collect() }
}

/// The versions that the policy of a device came from, and its refresh interval.
fn outcome(policies: &[Published], subject: &Subject) -> (Vec<i64>, u32) {
    let resolved = resolve(policies, subject).unwrap();
    let versions = resolved.sources.iter().map(|source| source.version).collect();
    (versions, resolved.document.refresh_seconds.unwrap())
}

#[test]
fn the_narrowest_scope_decides_each_section() {
    let policies = [
        policy(
            1,
            TENANT,
            r#"{"refresh_seconds":61,"kill_switch":true,"dns":{"servers":["10.0.0.53"],"match_domains":["a"]}}"#,
        ),
        policy(2, Scope::Group(id(20)), r#"{"refresh_seconds":62,"dns":{"servers":[],"match_domains":[]}}"#),
        policy(3, Scope::Device(id(30)), r#"{"refresh_seconds":63}"#),
    ];
    assert_eq!(outcome(&policies, &subject(9, &[])), (vec![1], 61));
    assert_eq!(outcome(&policies, &subject(9, &[20])), (vec![1, 2], 62));
    assert_eq!(outcome(&policies, &subject(30, &[])), (vec![1, 3], 63));
    assert_eq!(outcome(&policies, &subject(30, &[20])), (vec![1, 2, 3], 63));
    let in_group = subject(9, &[20]);
    let resolved = resolve(&policies, &in_group).unwrap();
    assert_eq!(resolved.target(), Scope::Group(id(20)));
    assert_eq!(resolved.expires_at(), Some(Stamp::from_micros(1)), "the earliest expiry");
    assert_eq!(resolved.document.kill_switch, Some(true));
    assert!(resolved.document.dns.unwrap().servers.is_empty(), "a section is replaced as a whole");
}

#[test]
fn of_two_groups_the_lower_priority_number_decides_then_the_lower_id() {
    let ranked = |version, group, priority| Published {
        priority,
        ..policy(version, Scope::Group(id(group)), &format!(r#"{{"refresh_seconds":{}}}"#, 60 + version))
    };
    let both = subject(1, &[5, 6]);
    assert_eq!(outcome(&[ranked(1, 5, 10), ranked(2, 6, 9)], &both), (vec![2], 62));
    assert_eq!(outcome(&[ranked(2, 6, 9), ranked(1, 5, 9)], &both), (vec![1], 61));
}

#[test]
fn what_is_absent_everywhere_has_its_default() {
    let policies = [policy(1, TENANT, "{}")];
    let device = subject(1, &[]);
    let resolved = resolve(&policies, &device).unwrap();
    let text = resolved.document.to_json().unwrap();
    assert_eq!(
        text,
        concat!(
            r#"{"tunnel_mode":"full","default_access":"deny","min_auth_mode":"B","routes":[],"kill_switch":false,"#,
            r#""refresh_seconds":300}"#
        )
    );
    assert_eq!((resolved.target(), resolved.sources.len()), (TENANT, 1));
    assert_eq!(resolve(&[], &device), None);
    assert_eq!(resolve(&[policy(1, Scope::Device(id(2)), "{}")], &device), None);
}

#[test]
fn a_policy_without_effect_is_not_a_source() {
    let policies = [
        policy(1, TENANT, r#"{"refresh_seconds":61}"#),
        policy(2, Scope::Group(id(20)), "{}"),
        Published { priority: 1, ..policy(3, Scope::Group(id(21)), r#"{"kill_switch":true}"#) },
        policy(4, Scope::Group(id(22)), r#"{"kill_switch":false}"#),
    ];
    let (one, other) = (subject(1, &[21]), subject(2, &[20, 21, 22]));
    assert_eq!(resolve(&policies, &one), resolve(&policies, &other), "the same resolution is the same content");
    assert_eq!(resolve(&policies, &one).unwrap().target(), Scope::Group(id(21)));
}

#[test]
fn a_newer_stable_version_wins_over_an_older_canary() {
    let canary = |version, json: &str| Published {
        canary: Some(PolicyCanary { device_ids: vec![id(1)], ..PolicyCanary::default() }),
        ..policy(version, TENANT, json)
    };
    let stable = |version| policy(version, TENANT, r#"{"refresh_seconds":100}"#);
    let newer = [stable(1), canary(2, r#"{"refresh_seconds":200}"#)];
    assert_eq!(outcome(&newer, &subject(1, &[])), (vec![2], 200));
    assert_eq!(outcome(&newer, &subject(2, &[])), (vec![1], 100));
    assert_eq!(resolve(&newer, &subject(1, &[])).unwrap().channel(), PolicyChannel::Canary);
    let older = [canary(2, r#"{"refresh_seconds":200}"#), stable(3)];
    assert_eq!(outcome(&older, &subject(1, &[])), (vec![3], 100));
    assert_eq!(resolve(&older, &subject(1, &[])).unwrap().channel(), PolicyChannel::Stable);
    let only = [canary(2, "{}")];
    assert_eq!(resolve(&only, &subject(2, &[])), None, "a device outside of the cohort has no policy");
}
