//! Tests of the rules of admission.

use uuid::Uuid;

use super::*;
use crate::{
    access::admission::policies::Effective,
    base::{Access, TenantId, TenantScope},
    store::{
        columns::{AccountStatus, Counters, Json},
        tables::{AccessSessionRow, AdmissionCredential, AdmissionPlace},
    },
};

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH.saturating_add(Duration::days(1));
const POOL: u128 = 5;

fn subject() -> AdmissionSubject {
    AdmissionSubject {
        device: Uuid::from_u128(1),
        version: 1,
        status: DeviceStatus::Active,
        account: Some(Uuid::from_u128(2)),
        account_status: Some(AccountStatus::Active),
        groups: Vec::new(),
        credential: Some(AdmissionCredential { not_after: Stamp::from(NOW + Duration::hours(1)), revoked: false }),
    }
}

fn facts(policy: &str) -> Facts {
    let document = Document::from_json(policy).unwrap();
    Facts {
        subject: subject(),
        place: AdmissionPlace {
            pool: Uuid::from_u128(POOL),
            gateway_drain: None,
            pool_drain: None,
            allowed_groups: Vec::new(),
            max_sessions: None,
            virtual_cidr: None,
            overrides: None,
        },
        groups: vec![Uuid::from_u128(7)],
        policy: Some(Effective { document, version: 3, expires_at: Stamp::from(NOW + Duration::days(7)) }),
        session: None,
    }
}

fn session(started: Duration) -> AccessSessionRow {
    let scope = TenantScope::grant(&Access::Platform, TenantId::from_uuid(Uuid::nil()), "acme").unwrap();
    let started_at = Stamp::from(NOW - started);
    AccessSessionRow {
        tenant_id: scope.into(),
        id: Uuid::nil(),
        gateway_id: Uuid::nil(),
        pool_id: Uuid::from_u128(POOL),
        device_id: Uuid::from_u128(1),
        account_id: None,
        grant_id: Uuid::nil(),
        client_ip: None,
        auth_mode: "B".to_owned(),
        policy_version: 3,
        started_at,
        granted_at: started_at,
        max_end: Stamp::from(NOW),
        expires_at: Stamp::from(NOW),
        reported_at: None,
        last_activity_at: started_at,
        bytes_in: 0,
        bytes_out: 0,
        counters: Json(Counters::default()),
        status: SessionStatus::Active,
        end_reason: None,
        ended_at: None,
        end_reported: false,
        kill_requested_at: None,
        virtual_ip: None,
        admitted_offline: false,
    }
}

fn question() -> Question {
    Question {
        device: String::new(),
        client_key: "key".to_owned(),
        session: None,
        pool: None,
        client_ip: None,
        auth_mode: AuthMode::Certificate,
    }
}

fn denied(facts: &Facts) -> Option<Denial> {
    check(facts, &question(), NOW).err()
}

#[test]
fn the_device_is_checked_in_the_documented_order() {
    let now = Stamp::from(NOW);
    let check = |subject: AdmissionSubject| check_subject(&subject, now).err();
    assert_eq!(check(subject()), None);
    assert_eq!(check(AdmissionSubject { account: None, account_status: None, ..subject() }), None);
    let lost = AdmissionSubject { credential: None, ..subject() };
    let suspended = AdmissionSubject { account_status: Some(AccountStatus::Suspended), ..subject() };
    assert_eq!(check(lost.clone()), Some(Denial::KeyMismatch));
    assert_eq!(check(AdmissionSubject { account_status: None, ..subject() }), Some(Denial::UserSuspended));
    assert_eq!(check(suspended.clone()), Some(Denial::UserSuspended));
    let both = AdmissionSubject { status: DeviceStatus::Suspended, ..suspended };
    assert_eq!(check(both), Some(Denial::UserSuspended));
    for status in [DeviceStatus::PendingApproval, DeviceStatus::Suspended, DeviceStatus::Revoked] {
        assert_eq!(check(AdmissionSubject { status, ..subject() }), Some(Denial::DeviceNotActive), "{status:?}");
        assert_eq!(check(AdmissionSubject { status, ..lost.clone() }), Some(Denial::KeyMismatch), "{status:?}");
    }
}

#[test]
fn a_credential_counts_while_it_is_valid() {
    let check = |credential, status| {
        check_subject(&AdmissionSubject { credential: Some(credential), status, ..subject() }, NOW.into()).err()
    };
    let valid = AdmissionCredential { not_after: Stamp::from(NOW + Duration::MICROSECOND), revoked: false };
    let (over, revoked) =
        (AdmissionCredential { not_after: NOW.into(), ..valid }, AdmissionCredential { revoked: true, ..valid });
    assert_eq!(check(valid, DeviceStatus::Active), None);
    assert_eq!(check(over, DeviceStatus::Active), Some(Denial::KeyMismatch));
    assert_eq!(check(revoked, DeviceStatus::Active), Some(Denial::KeyMismatch));
    assert_eq!(check(revoked, DeviceStatus::Revoked), Some(Denial::DeviceNotActive));
}

#[test]
fn without_a_policy_in_force_no_pool_is_allowed() {
    assert_eq!(denied(&facts("{}")), None);
    assert_eq!(denied(&Facts { policy: None, ..facts("{}") }), Some(Denial::PoolNotAllowed));
    let mut expired = facts("{}");
    expired.policy.as_mut().unwrap().expires_at = NOW.into();
    assert_eq!(denied(&expired), Some(Denial::PoolNotAllowed));
}

#[test]
fn the_policy_and_the_pool_decide_who_may_use_it() {
    assert_eq!(denied(&facts(r#"{"gateway_pools":[]}"#)), Some(Denial::PoolNotAllowed));
    let listed = IdKind::GatewayPool.show(Uuid::from_u128(POOL));
    assert_eq!(denied(&facts(&format!(r#"{{"gateway_pools":["{listed}"]}}"#))), None);
    let mut closed = facts("{}");
    closed.place.allowed_groups = vec![Uuid::from_u128(8)];
    assert_eq!(denied(&closed), Some(Denial::PoolNotAllowed));
    closed.place.allowed_groups.push(Uuid::from_u128(7));
    assert_eq!(denied(&closed), None);
    let other = Question { pool: Some(IdKind::GatewayPool.show(Uuid::nil())), ..question() };
    assert_eq!(check(&facts("{}"), &other, NOW), Err(Denial::PoolNotAllowed));
    assert!(check(&facts("{}"), &Question { pool: Some(listed), ..question() }, NOW).is_ok());
}

#[test]
fn a_drain_refuses_new_sessions_and_bounds_the_others() {
    let deadline = NOW + Duration::minutes(5);
    for pool in [false, true] {
        let mut draining = facts("{}");
        let of = if pool { &mut draining.place.pool_drain } else { &mut draining.place.gateway_drain };
        *of = Some(deadline.into());
        assert_eq!(denied(&draining), Some(Denial::PoolDraining));
        draining.session = Some(session(Duration::hours(1)));
        assert_eq!(check(&draining, &question(), NOW).unwrap().max_end, deadline);
        assert_eq!(check(&draining, &question(), deadline), Err(Denial::PoolDraining));
    }
}

#[test]
fn the_mode_of_authentication_must_be_as_strong_as_the_policy_says() {
    let modes = [AuthMode::FirstUse, AuthMode::PreShared, AuthMode::Certificate, AuthMode::PostQuantum];
    for (needed, first) in [("D", 0), ("A", 1), ("B", 2), ("C", 3)] {
        let facts = facts(&format!(r#"{{"min_auth_mode":"{needed}"}}"#));
        for (at, auth_mode) in modes.into_iter().enumerate() {
            let found = check(&facts, &Question { auth_mode, ..question() }, NOW);
            assert_eq!(found.err(), (at < first).then_some(Denial::AuthModeTooLow), "{needed} {auth_mode:?}");
        }
    }
    assert_eq!(
        check(&facts("{}"), &Question { auth_mode: AuthMode::PreShared, ..question() }, NOW),
        Err(Denial::AuthModeTooLow)
    );
}

#[test]
fn a_state_that_is_not_known_is_not_trusted() {
    let demanding = |checks: &str, on_fail: &str| {
        facts(&format!(r#"{{"posture":{{"required":[{checks}],"max_age_seconds":60,"on_fail":"{on_fail}"}}}}"#))
    };
    let check = r#""disk_encrypted""#;
    assert_eq!(denied(&demanding(check, "block")), Some(Denial::Posture));
    assert_eq!(denied(&demanding(check, "restrict")), Some(Denial::Posture));
    assert_eq!(denied(&demanding(check, "warn")), None);
    assert_eq!(denied(&demanding("", "block")), None);
}

#[test]
fn a_session_lasts_as_long_as_the_policy_says() {
    let terms = |facts: &Facts| check(facts, &question(), NOW);
    let usual = terms(&facts("{}")).unwrap();
    assert_eq!(usual, Terms { max_end: NOW + LONGEST, recheck_seconds: 300 });
    let mut short = facts(r#"{"session":{"max_seconds":600},"refresh_seconds":60}"#);
    assert_eq!(terms(&short).unwrap(), Terms { max_end: NOW + Duration::minutes(10), recheck_seconds: 60 });
    short.session = Some(session(Duration::minutes(9)));
    assert_eq!(terms(&short).unwrap().max_end, NOW + Duration::minutes(1));
    short.session = Some(session(Duration::minutes(10)));
    assert_eq!(terms(&short), Err(Denial::SessionEnded));
    let ended = AccessSessionRow { status: SessionStatus::Ended, ..session(Duration::ZERO) };
    assert_eq!(denied(&Facts { session: Some(ended), ..facts("{}") }), Some(Denial::SessionEnded));
}
