//! Validation of new tokens.

use std::ops::RangeInclusive;

use time::Duration;
use uuid::Uuid;

use super::{Enrolls as Given, NewTokens};
use crate::{
    base::{Cx, EnrolledKind, Error, IdKind, Reach, Result, error::Reason, text},
    identity::groups::lists,
    store::tables::TokenState,
};

/// Permitted lifetimes in seconds, from a minute to a year, and the default, a day.
const LIFE: RangeInclusive<i64> = 60..=31_536_000;
pub(super) const USUAL_LIFE: i64 = 86_400;
/// Permitted numbers of uses.
const USES: RangeInclusive<i64> = 1..=10_000;
/// Maximum number of tokens in a call.
const COUNT: RangeInclusive<i32> = 1..=100;
/// Maximum length of a name, in characters.
const MAX_NAME: usize = 64;
/// Maximum length of a reason, in characters.
const MAX_REASON: usize = 500;

/// Valid [`NewTokens`].
#[derive(Clone, Debug)]
pub(super) struct Checked {
    pub enrolls: Enrolls,
    pub name: String,
    pub life: Duration,
    /// Any number of times if it is missing.
    pub max_uses: Option<i64>,
    pub pre_approved: bool,
    pub count: i32,
}

#[derive(Clone, Debug)]
pub(super) enum Enrolls {
    Devices { user: Option<User>, groups: Vec<Uuid>, ephemeral: bool },
    Gateways { pool: Uuid },
}

/// The user of devices.
#[derive(Clone, Debug)]
pub(super) enum User {
    Caller(Uuid),
    /// By id, name or email address.
    Named(String),
}

/// Validates new tokens without the database.
pub(super) fn check(cx: &Cx, new: NewTokens, reach: Reach) -> Result<Checked> {
    let enrolls = match reach {
        Reach::All => enrolls(new.enrolls)?,
        Reach::Own => own_devices(cx, &new)?,
    };
    Ok(Checked {
        enrolls,
        name: name(&new.name)?,
        life: life(new.expires_in)?,
        max_uses: uses(new.max_uses, new.reusable)?,
        pre_approved: new.pre_approved.unwrap_or(reach == Reach::All),
        count: count(new.count)?,
    })
}

fn enrolls(given: Given) -> Result<Enrolls> {
    match given {
        Given::Devices { user, groups, ephemeral } => Ok(Enrolls::Devices {
            user: user.map(User::Named),
            groups: lists::ids("group_ids", &groups, lists::MOST)?,
            ephemeral,
        }),
        Given::Gateways { pool } => {
            let pool = IdKind::GatewayPool.read(&pool).ok_or_else(unknown_pool)?;
            Ok(Enrolls::Gateways { pool })
        }
    }
}

/// What a user may generate without the right to manage tokens: tokens for their own devices, which wait for approval.
fn own_devices(cx: &Cx, new: &NewTokens) -> Result<Enrolls> {
    let denied = |text: &str| Err(Error::denied(Reason::PermissionDenied, text.to_owned()));
    let Given::Devices { user, groups, ephemeral } = &new.enrolls else {
        return denied("you may only generate tokens for your own devices");
    };
    let Some(own) = cx.caller.account else {
        return denied("a token without a user needs the right to manage enrollment tokens");
    };
    if user.as_ref().is_some_and(|user| IdKind::User.read(user) != Some(own)) {
        return denied("you may only generate tokens for your own devices");
    }
    if !groups.is_empty() || new.pre_approved == Some(true) {
        return denied("you may not choose groups or the approval of your devices");
    }
    Ok(Enrolls::Devices { user: Some(User::Caller(own)), groups: Vec::new(), ephemeral: *ephemeral })
}

/// The state with a name.
pub(super) fn state(word: &str) -> Result<TokenState> {
    let found = TokenState::ALL.into_iter().find(|state| state.as_str() == word);
    found.ok_or_else(|| invalid("status", "the status must be active, used_up, expired or revoked".to_owned()))
}

/// The kind with a name.
pub fn kind(word: &str) -> Result<EnrolledKind> {
    let found = EnrolledKind::ALL.into_iter().find(|kind| kind.as_str() == word);
    found.ok_or_else(|| invalid("kind", "the kind must be device or gateway".to_owned()))
}

/// The reason of a revocation.
pub(super) fn reason(text: Option<String>) -> Result<Option<String>> {
    let rule = "a reason must have at most 500 characters";
    text.map(|text| text::prose("reason", &text, MAX_REASON, rule)).transpose()
}

pub(super) fn unknown_pool() -> Error {
    Error::invalid(Reason::GatewayPoolNotFound, "pool_id", "gateway pool not found")
}

fn name(text: &str) -> Result<String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    text::name_of("name", text, 1..=MAX_NAME, "a name must have at most 64 characters")
}

fn life(seconds: Option<i64>) -> Result<Duration> {
    let seconds = seconds.unwrap_or(USUAL_LIFE);
    if LIFE.contains(&seconds) {
        return Ok(Duration::seconds(seconds));
    }
    let message = format!("the lifetime of a token must be {} to {} seconds", LIFE.start(), LIFE.end());
    Err(invalid("expires_in_seconds", message))
}

fn uses(most: Option<i64>, reusable: bool) -> Result<Option<i64>> {
    match most.unwrap_or(1) {
        0 if reusable => Ok(None),
        0 => Err(invalid("max_uses", "set reusable for a token that can be used any number of times".to_owned())),
        most if USES.contains(&most) => Ok(Some(most)),
        _ => Err(invalid("max_uses", format!("max_uses must be {} to {}, or 0", USES.start(), USES.end()))),
    }
}

fn count(count: Option<i32>) -> Result<i32> {
    let count = count.unwrap_or(1);
    if COUNT.contains(&count) {
        return Ok(count);
    }
    Err(invalid("count", format!("count must be {} to {}", COUNT.start(), COUNT.end())))
}

fn invalid(field: &str, message: String) -> Error {
    Error::invalid(Reason::InvalidArgument, field, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_lives_for_a_minute_to_a_year() {
        assert_eq!(life(None).unwrap(), Duration::days(1));
        assert!(life(Some(60)).is_ok() && life(Some(31_536_000)).is_ok());
        for bad in [59, 31_536_001, 0, -1, i64::MIN] {
            assert!(life(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn any_number_of_uses_must_be_confirmed() {
        assert_eq!(uses(None, false).unwrap(), Some(1));
        assert_eq!(uses(Some(0), true).unwrap(), None);
        assert_eq!(uses(Some(10_000), true).unwrap(), Some(10_000));
        for (most, reusable) in [(0, false), (-1, true), (10_001, true)] {
            assert!(uses(Some(most), reusable).is_err(), "{most}");
        }
    }
}
