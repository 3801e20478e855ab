//! The policy of a device: each section from the narrowest scope that has it (zero-trust contract, decisions, "Policy scope").
//!
//! Devices with the same resolution get the same content: it depends only on the policies that a section came from.

use std::cmp::Reverse;

use uuid::Uuid;

use super::{
    canary,
    document::{
        Document, with_sections,
        words::{Access, AuthMode, TunnelMode},
    },
    scope::Scope,
};
use crate::{
    base::{Error, IdKind, Result},
    store::{
        Stamp,
        columns::{PolicyCanary, PolicyChannel},
        tables::PolicyRow,
    },
};

/// How often devices ask for their policy if no scope says so, in seconds.
const REFRESH: u32 = 300;

/// A published version with its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    pub id: Uuid,
    pub version: i64,
    pub scope: Scope,
    /// The rank among the groups of a device; the lowest number is first.
    pub priority: i64,
    /// The devices that get it; all of its scope if it is stable.
    pub canary: Option<PolicyCanary>,
    pub document: Document,
    pub expires_at: Stamp,
}

/// A device, as far as its policy depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    pub device: Uuid,
    /// The groups that it is in.
    pub groups: Vec<Uuid>,
}

/// The policy of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved<'p> {
    /// All sections that have a value, or a documented default.
    pub document: Document,
    /// The policies that its sections came from, widest scope first; at least one.
    pub sources: Vec<&'p Published>,
    /// The policy that the routes came from.
    pub routes_from: Option<&'p Published>,
    /// The policy that the access to all else came from.
    pub default_access_from: Option<&'p Published>,
}

impl Published {
    /// A stored policy with its content.
    pub fn of(row: &PolicyRow, document: &str) -> Result<Self> {
        Self::with(row, Some(Document::from_json(document)?))
    }

    /// A stored policy with its content, which it must have.
    pub fn with(row: &PolicyRow, document: Option<Document>) -> Result<Self> {
        Ok(Self {
            id: row.id,
            version: row.version,
            scope: Scope::of(row),
            priority: row.priority,
            canary: (row.channel == PolicyChannel::Canary)
                .then(|| row.canary.as_ref().map(|canary| canary.0.clone()).unwrap_or_default()),
            document: document.ok_or_else(|| Error::internal("a policy has no content"))?,
            expires_at: row.expires_at,
        })
    }

    pub fn shown_id(&self) -> String {
        IdKind::Policy.show(self.id)
    }

    /// Whether a device gets it.
    fn is_for(&self, subject: &Subject) -> bool {
        let in_scope = match self.scope {
            Scope::Global | Scope::Tenant => true,
            Scope::Group(group) => subject.groups.contains(&group),
            Scope::Device(device) => device == subject.device,
        };
        let in_cohort = |canary| canary::is_in_cohort(canary, subject.device, &subject.groups);
        in_scope && self.canary.as_ref().is_none_or(in_cohort)
    }

    /// Its place among the policies of a device, the narrowest scope first.
    fn place(&self) -> (u8, i64, Uuid) {
        match self.scope {
            Scope::Device(device) => (0, 0, device),
            Scope::Group(group) => (1, self.priority, group),
            Scope::Tenant => (2, 0, Uuid::nil()),
            Scope::Global => (3, 0, Uuid::nil()),
        }
    }
}

impl Resolved<'_> {
    /// The narrowest scope that a section came from.
    pub fn target(&self) -> Scope {
        self.sources.last().map_or(Scope::Tenant, |source| source.scope)
    }

    /// The time from which the policy is not valid: the earliest expiry of what its sections came from.
    pub fn expires_at(&self) -> Option<Stamp> {
        self.sources.iter().map(|source| source.expires_at).min()
    }

    /// Whether the policy is no longer valid, so that its devices must deny.
    pub fn is_expired(&self, now: Stamp) -> bool {
        self.expires_at().is_some_and(|end| end <= now)
    }

    /// `canary` if a section came from one.
    pub fn channel(&self) -> PolicyChannel {
        let is_canary = self.sources.iter().any(|source| source.canary.is_some());
        if is_canary { PolicyChannel::Canary } else { PolicyChannel::Stable }
    }
}

/// Resolves the policy of a device from the active policies of its tenant; `None` if none is for it.
pub fn resolve<'p>(policies: &'p [Published], subject: &Subject) -> Option<Resolved<'p>> {
    let ordered = applicable(policies, subject);
    let mut document = Document::default();
    macro_rules! take {
        ($($section:ident),*) => {
            $(if let Some(policy) = ordered.iter().find(|policy| policy.document.$section.is_some()) {
                document.$section.clone_from(&policy.document.$section);
            })*
        };
    }
    with_sections!(take);
    let from = |has: fn(&Document) -> bool| ordered.iter().copied().find(|policy| has(&policy.document));
    let (routes_from, default_access_from) =
        (from(|document| document.routes.is_some()), from(|document| document.default_access.is_some()));
    let sources = sources(&ordered)?;
    fill_defaults(&mut document);
    Some(Resolved { document, sources, routes_from, default_access_from })
}

/// The ids of the policies that a device's sections come from, widest scope first: devices with the same ids have the same policy. `None`
/// if none is for it, or one of them has expired.
pub fn resolution(policies: &[Published], subject: &Subject, now: Stamp) -> Option<Vec<Uuid>> {
    let sources = sources(&applicable(policies, subject))?;
    let is_valid = sources.iter().all(|policy| now < policy.expires_at);
    is_valid.then(|| sources.into_iter().map(|policy| policy.id).collect())
}

/// The policies that sections come from, widest scope first; the widest one if there are no sections.
fn sources<'p>(ordered: &[&'p Published]) -> Option<Vec<&'p Published>> {
    let widest = *ordered.last()?;
    let mut used = vec![false; ordered.len()];
    macro_rules! mark {
        ($($section:ident),*) => {
            $(if let Some(at) = ordered.iter().position(|policy| policy.document.$section.is_some()) {
                used[at] = true;
            })*
        };
    }
    with_sections!(mark);
    let mut sources: Vec<_> =
        ordered.iter().zip(used).rev().filter(|(_, used)| *used).map(|(policy, _)| *policy).collect();
    if sources.is_empty() {
        sources.push(widest);
    }
    Some(sources)
}

/// The policies that a device gets, the narrowest scope first: of each scope the newest one, as a newer stable version replaces
/// an older canary.
fn applicable<'p>(policies: &'p [Published], subject: &Subject) -> Vec<&'p Published> {
    let mut ordered: Vec<_> = policies.iter().filter(|policy| policy.is_for(subject)).collect();
    ordered.sort_by_key(|policy| (policy.scope, Reverse(policy.version)));
    ordered.dedup_by_key(|policy| policy.scope);
    ordered.sort_by_key(|policy| policy.place());
    ordered
}

/// Sets what is absent everywhere and has a default.
fn fill_defaults(document: &mut Document) {
    document.tunnel_mode.get_or_insert(TunnelMode::Full);
    document.default_access.get_or_insert(Access::Deny);
    document.min_auth_mode.get_or_insert(AuthMode::Certificate);
    document.routes.get_or_insert_default();
    document.kill_switch.get_or_insert(false);
    document.refresh_seconds.get_or_insert(REFRESH);
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
