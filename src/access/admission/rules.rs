//! Whether a device is admitted, in the documented order of the checks (zero-trust contract, decisions, "Admission").

use time::{Duration, OffsetDateTime};

use super::{Question, facts::Facts};
use crate::{
    base::IdKind,
    policy::document::{
        Document,
        words::{AuthMode, OnFail},
    },
    store::{
        Stamp,
        columns::{DeviceStatus, SessionStatus},
        tables::{AdmissionSubject, may_have_devices},
    },
};

/// How long a session may last if the policy does not limit it.
pub const LONGEST: Duration = Duration::days(1);
/// After how many seconds a gateway asks again if the policy does not say so.
const REFRESH: u32 = 300;

/// Why a device is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Denial {
    UnknownDevice,
    /// The key is not that of a valid credential of the device.
    KeyMismatch,
    UserSuspended,
    DeviceNotActive,
    /// No policy in force allows the device to use the pool, or the pool does not allow the device.
    PoolNotAllowed,
    /// The gateway or its pool accepts no new sessions.
    PoolDraining,
    AuthModeTooLow,
    /// The policy demands a state of the device that is not known.
    Posture,
    /// The session has ended.
    SessionEnded,
    /// The tenant or the pool has as many sessions as it may.
    EntitlementExceeded,
    /// No address of the network of the pool is free.
    AddressesExhausted,
}

impl Denial {
    pub const ALL: [Self; 11] = [
        Self::UnknownDevice,
        Self::KeyMismatch,
        Self::UserSuspended,
        Self::DeviceNotActive,
        Self::PoolNotAllowed,
        Self::PoolDraining,
        Self::AuthModeTooLow,
        Self::Posture,
        Self::SessionEnded,
        Self::EntitlementExceeded,
        Self::AddressesExhausted,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownDevice => "unknown_device",
            Self::KeyMismatch => "key_mismatch",
            Self::UserSuspended => "user_suspended",
            Self::DeviceNotActive => "device_not_active",
            Self::PoolNotAllowed => "pool_not_allowed",
            Self::PoolDraining => "pool_draining",
            Self::AuthModeTooLow => "auth_mode_too_low",
            Self::Posture => "posture",
            Self::SessionEnded => "session_ended",
            Self::EntitlementExceeded => "entitlement_exceeded",
            Self::AddressesExhausted => "addresses_exhausted",
        }
    }
}

/// The terms of an admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The session may not last longer.
    pub max_end: OffsetDateTime,
    /// When the gateway should ask again.
    pub recheck_seconds: u32,
}

/// Checks the device itself.
pub fn check_subject(subject: &AdmissionSubject, now: Stamp) -> Result<(), Denial> {
    let is_active = subject.status == DeviceStatus::Active;
    // A device that is not active may have lost its credentials with that.
    let proven = |valid: bool| valid || !is_active;
    let credential = subject.credential.ok_or(Denial::KeyMismatch)?;
    if !proven(!credential.revoked && now < credential.not_after) {
        return Err(Denial::KeyMismatch);
    }
    if subject.account.is_some() && !subject.account_status.is_some_and(may_have_devices) {
        return Err(Denial::UserSuspended);
    }
    if is_active { Ok(()) } else { Err(Denial::DeviceNotActive) }
}

/// Checks all else, except whether there is room for a new session.
pub fn check(facts: &Facts, question: &Question, now: OffsetDateTime) -> Result<Terms, Denial> {
    let policy = facts.policy.as_ref().filter(|policy| Stamp::from(now) < policy.expires_at);
    let policy = policy.map(|policy| &policy.document).ok_or(Denial::PoolNotAllowed)?;
    check_pool(facts, policy, question)?;
    let drain = [facts.place.gateway_drain, facts.place.pool_drain].into_iter().flatten().min().map(Stamp::time);
    let is_known = facts.session.is_some();
    if drain.is_some_and(|deadline| !is_known || deadline <= now) {
        return Err(Denial::PoolDraining);
    }
    if strength(question.auth_mode) < strength(policy.min_auth_mode.unwrap_or(AuthMode::Certificate)) {
        return Err(Denial::AuthModeTooLow);
    }
    if demands_posture(policy) {
        return Err(Denial::Posture);
    }
    let started = match &facts.session {
        Some(session) if session.status == SessionStatus::Ended => return Err(Denial::SessionEnded),
        Some(session) => session.started_at.time(),
        None => now,
    };
    let longest = policy.session.as_ref().and_then(|session| session.max_seconds);
    let end = started + longest.map_or(LONGEST, |seconds| Duration::seconds(seconds.into()));
    let max_end = drain.map_or(end, |deadline| deadline.min(end));
    // Whole seconds, as in the grant.
    let max_end = max_end.replace_nanosecond(0).unwrap_or(max_end);
    if max_end <= now {
        return Err(Denial::SessionEnded);
    }
    Ok(Terms { max_end, recheck_seconds: policy.refresh_seconds.unwrap_or(REFRESH) })
}

/// Checks that the policy allows the pool, and the pool the device.
fn check_pool(facts: &Facts, policy: &Document, question: &Question) -> Result<(), Denial> {
    let pool = facts.place.pool;
    let is_it = |text: &String| IdKind::GatewayPool.read(text) == Some(pool);
    let in_policy = policy.gateway_pools.as_ref().is_none_or(|pools| pools.iter().any(is_it));
    let in_groups = |allowed: &[uuid::Uuid]| allowed.iter().any(|group| facts.groups.contains(group));
    let for_device = facts.place.allowed_groups.is_empty() || in_groups(&facts.place.allowed_groups);
    let is_asked = question.pool.as_ref().is_none_or(is_it);
    if in_policy && for_device && is_asked { Ok(()) } else { Err(Denial::PoolNotAllowed) }
}

/// The rank of a mode: trust on first use proves the least.
fn strength(mode: AuthMode) -> u8 {
    match mode {
        AuthMode::FirstUse => 0,
        AuthMode::PreShared => 1,
        AuthMode::Certificate => 2,
        AuthMode::PostQuantum => 3,
    }
}

/// Whether the policy demands a state that the device must prove. One that only warns demands nothing.
fn demands_posture(policy: &Document) -> bool {
    policy.posture.as_ref().is_some_and(|posture| !posture.required.is_empty() && posture.on_fail != OnFail::Warn)
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
