//! Validation of a publication without the database.

use std::ops::RangeInclusive;

use time::Duration;
use uuid::Uuid;

use crate::{
    base::{Error, IdKind, Reach, Result, TenantId, error::Reason, text},
    identity::groups::lists,
    policy::{
        document::{self, Document, EmptyLists},
        scope::Scope,
    },
    proto::zerotrust::v1::PolicyDocument,
    store::columns::{PolicyCanary, PolicyChannel},
};

/// Default of the priority of a policy for a group.
pub(super) const PRIORITY: i64 = 100;
const PRIORITIES: RangeInclusive<i64> = 0..=1000;
const PERCENT: RangeInclusive<u32> = 1..=100;
/// Permitted and default validity, in seconds.
const LIFE: RangeInclusive<i64> = 3600..=7_776_000;
const USUAL_LIFE: i64 = 604_800;
/// Maximum length of notes, in characters.
const MAX_NOTES: usize = 2000;
/// Maximum number of devices that a canary lists.
const MAX_DEVICES: usize = 500;

/// A request to publish.
#[derive(Clone, Debug)]
pub struct NewPolicy {
    pub channel: String,
    /// The tenant if it is missing, or the scope of the version.
    pub scope: Option<ScopeInput>,
    pub priority: Option<i64>,
    pub content: Content,
    pub canary: Option<CanaryInput>,
    pub notes: String,
    /// Validity in seconds.
    pub expires_in: Option<i64>,
    pub dry_run: bool,
    /// The latest version that the caller knows, if the call must fail on another one.
    pub expected_base: Option<i64>,
}

#[derive(Clone, Debug)]
pub struct ScopeInput {
    pub kind: String,
    pub id: Option<String>,
}

/// What is published.
#[derive(Clone, Debug)]
pub enum Content {
    Policy(Box<PolicyDocument>, EmptyLists),
    /// The content of a version.
    Version(i64),
}

/// The devices of a canary.
#[derive(Clone, Debug, Default)]
pub struct CanaryInput {
    pub percent: Option<i32>,
    pub groups: Vec<String>,
    pub devices: Vec<String>,
}

/// A valid [`NewPolicy`].
#[derive(Clone, Debug)]
pub(super) struct Checked {
    pub channel: PolicyChannel,
    /// With the id of the tenant, if it was given.
    pub scope: Option<(Scope, Option<TenantId>)>,
    pub priority: Option<i64>,
    pub content: CheckedContent,
    pub canary: Option<PolicyCanary>,
    pub notes: String,
    pub life: Duration,
    pub expected_base: Option<i64>,
}

/// A valid [`Content`].
#[derive(Clone, Debug)]
pub(super) enum CheckedContent {
    Policy(Box<Document>),
    Version(i64),
}

/// Validates a request. [`Reach::Own`] reaches only the canary.
pub(super) fn check(new: NewPolicy, reach: Reach) -> Result<Checked> {
    let channel = channel(&new.channel)?;
    if channel == PolicyChannel::Stable && reach == Reach::Own {
        let text = "your role may publish to the channel canary only; ask an administrator to promote the version";
        return Err(Error::denied(Reason::PermissionDenied, text));
    }
    Ok(Checked {
        channel,
        scope: new.scope.map(|scope| Scope::read(&scope.kind, scope.id.as_deref())).transpose()?,
        priority: new.priority.map(|number| number_in("priority", number, &PRIORITIES)).transpose()?,
        canary: canary(channel, new.canary)?,
        notes: text::prose("notes", &new.notes, MAX_NOTES, "notes must have at most 2000 characters")?,
        life: Duration::seconds(number_in("expires_in_seconds", new.expires_in.unwrap_or(USUAL_LIFE), &LIFE)?),
        expected_base: new.expected_base,
        content: match new.content {
            Content::Policy(message, empty) => CheckedContent::Policy(Box::new(document::read(&message, empty)?)),
            Content::Version(version) => CheckedContent::Version(version),
        },
    })
}

/// The priority of a policy: only those for groups have one.
pub(super) fn priority(scope: Scope, given: Option<i64>, before: Option<i64>) -> Result<i64> {
    match (scope, given) {
        (Scope::Group(_), given) => Ok(given.or(before).unwrap_or(PRIORITY)),
        (_, None) => Ok(0),
        (_, Some(_)) => Err(invalid("priority", "priority is only used for the scope of a group".to_owned())),
    }
}

fn channel(word: &str) -> Result<PolicyChannel> {
    let found = PolicyChannel::ALL.iter().copied().find(|channel| channel.as_str() == word);
    found.ok_or_else(|| invalid("channel", "the channel must be stable or canary".to_owned()))
}

fn canary(channel: PolicyChannel, given: Option<CanaryInput>) -> Result<Option<PolicyCanary>> {
    match (channel, given) {
        (PolicyChannel::Stable, None) => Ok(None),
        (PolicyChannel::Stable, Some(_)) => {
            Err(invalid("canary", "canary is not used for the channel stable".to_owned()))
        }
        (PolicyChannel::Canary, given) => cohort(given.unwrap_or_default()).map(Some),
    }
}

fn cohort(given: CanaryInput) -> Result<PolicyCanary> {
    let percent = given.percent.map(|number| {
        let percent = u32::try_from(number).ok().filter(|percent| PERCENT.contains(percent));
        percent.ok_or_else(|| invalid("canary.percent", "percent must be 1 to 100".to_owned()))
    });
    let canary = PolicyCanary {
        percent: percent.transpose()?,
        group_ids: lists::ids("canary.group_ids", &given.groups, lists::MOST)?,
        device_ids: devices(&given.devices)?,
    };
    if canary == PolicyCanary::default() {
        let text = "the channel canary needs devices: set percent, group_ids or device_ids of canary";
        return Err(Error::invalid(Reason::FieldRequired, "canary", text));
    }
    Ok(canary)
}

/// Parses ids of devices and removes duplicates.
fn devices(texts: &[String]) -> Result<Vec<Uuid>> {
    const FIELD: &str = "canary.device_ids";
    if texts.len() > MAX_DEVICES {
        return Err(invalid(FIELD, format!("at most {MAX_DEVICES} devices at once")));
    }
    let mut ids = Vec::with_capacity(texts.len());
    for text in texts {
        let id = IdKind::Device.read(text).ok_or_else(|| invalid(FIELD, "device not found".to_owned()))?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

fn number_in(field: &str, number: i64, range: &RangeInclusive<i64>) -> Result<i64> {
    if range.contains(&number) {
        return Ok(number);
    }
    Err(invalid(field, format!("{field} must be {} to {}", range.start(), range.end())))
}

fn invalid(field: &str, message: String) -> Error {
    Error::invalid(Reason::InvalidArgument, field, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> NewPolicy {
        NewPolicy {
            channel: "stable".to_owned(),
            scope: None,
            priority: None,
            content: Content::Version(1),
            canary: None,
            notes: String::new(),
            expires_in: None,
            dry_run: false,
            expected_base: None,
        }
    }

    fn to_canary(canary: CanaryInput) -> NewPolicy {
        NewPolicy { channel: "canary".to_owned(), canary: Some(canary), ..request() }
    }

    fn field_of(new: NewPolicy) -> String {
        check(new, Reach::All).unwrap_err().violations[0].field.clone()
    }

    #[test]
    fn each_member_has_its_rule() {
        assert!(check(request(), Reach::All).is_ok());
        assert_eq!(field_of(NewPolicy { channel: "beta".to_owned(), ..request() }), "channel");
        assert_eq!(field_of(NewPolicy { priority: Some(1001), ..request() }), "priority");
        assert_eq!(field_of(NewPolicy { expires_in: Some(3599), ..request() }), "expires_in_seconds");
        assert_eq!(field_of(NewPolicy { expires_in: Some(7_776_001), ..request() }), "expires_in_seconds");
        assert_eq!(field_of(NewPolicy { notes: "x".repeat(2001), ..request() }), "notes");
        let percent = |percent| CanaryInput { percent: Some(percent), ..CanaryInput::default() };
        assert_eq!(field_of(NewPolicy { canary: Some(percent(1)), ..request() }), "canary");
        assert_eq!(field_of(to_canary(CanaryInput::default())), "canary");
        assert_eq!(field_of(to_canary(percent(0))), "canary.percent");
        assert_eq!(field_of(to_canary(percent(101))), "canary.percent");
        let groups = CanaryInput { groups: vec!["ops".to_owned()], ..CanaryInput::default() };
        assert_eq!(field_of(to_canary(groups)), "canary.group_ids");
        let devices = CanaryInput { devices: vec!["laptop".to_owned()], ..CanaryInput::default() };
        assert_eq!(field_of(to_canary(devices)), "canary.device_ids");
    }

    #[test]
    fn only_those_who_may_publish_to_stable_do() {
        let canary = || to_canary(CanaryInput { percent: Some(5), ..CanaryInput::default() });
        assert!(check(canary(), Reach::Own).is_ok());
        assert_eq!(check(request(), Reach::Own).unwrap_err().kind, crate::base::Kind::PermissionDenied);
    }

    #[test]
    fn only_policies_for_groups_have_a_priority() {
        let group = Scope::Group(Uuid::nil());
        assert_eq!(priority(group, None, None).unwrap(), PRIORITY);
        assert_eq!(priority(group, None, Some(7)).unwrap(), 7);
        assert_eq!(priority(group, Some(8), Some(7)).unwrap(), 8);
        assert_eq!(priority(Scope::Tenant, None, None).unwrap(), 0);
        assert!(priority(Scope::Tenant, Some(1), None).is_err());
    }
}
