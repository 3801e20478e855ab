//! The publication of policies for every tenant.
//!
//! It writes the version of the platform. A job copies it into each tenant, where it has a version of the tenant.

use std::borrow::Cow;

use serde_json::json;
use uuid::Uuid;

use super::{
    NewPolicy, affected, few,
    plan::{refuse_stale, replaced_state},
    rules::{self, Checked, CheckedContent},
};
use crate::{
    base::{Cx, Error, IdKind, Reach, Result, error::Reason},
    policy::{
        diff::{self, Diff},
        document::{self, Document, warnings},
        scope::Scope,
    },
    store::{
        Change, ChangeKind, Db, Resource, Stamp, Store, Tx,
        columns::{PolicyChannel, PolicyState},
        tables::global_policies::{self, Model},
    },
};

/// A publication for every tenant, or what it would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobalPublication {
    pub row: Model,
    pub diff: Diff,
    pub warnings: Vec<String>,
    /// The number of devices that it is for, in all tenants.
    pub affected: u64,
    /// Whether it was published.
    pub is_published: bool,
}

/// A publication that can be written.
struct Plan {
    publication: GlobalPublication,
    /// Versions that are no longer active, with their new states.
    replaced: Vec<(Model, PolicyState)>,
}

/// Publishes a policy for every tenant. Only for the platform. Fails as [`super::publish`] does; a canary is for a percentage only, and the
/// policy names no gateway pools, because groups, devices and pools belong to tenants. The base is the latest global version.
pub async fn publish_global(cx: &Cx, store: &Store, new: NewPolicy) -> Result<GlobalPublication> {
    let dry_run = new.dry_run;
    let checked = rules::check(new, Reach::All)?;
    refuse_parts_of_tenants(&checked)?;
    if dry_run {
        let by = (Uuid::nil(), cx.caller.subject.clone());
        return plan(store.read(), &checked, by, store.clock().now().into()).await.map(|plan| plan.publication);
    }
    store.write(cx, checked, publish_in).await
}

async fn publish_in(tx: &Tx, new: &Checked) -> Result<GlobalPublication> {
    // Publications wait for each other here, so that each has its own version.
    global_policies::lock(tx.conn()).await?;
    let by = (tx.new_id(), tx.cx().caller.subject.clone());
    let Plan { publication, replaced } = plan(tx.conn(), new, by, tx.now().into()).await?;
    for (old, state) in &replaced {
        global_policies::end(tx.conn(), old.id, *state).await?;
    }
    let (row, diff) = (&publication.row, &publication.diff);
    global_policies::insert(tx.conn(), row.clone()).await?;
    let shown = IdKind::Policy.show(row.id);
    let details = json!({
        "version": row.version, "channel": row.channel.as_str(), "digest": row.digest, "scope": {"type": "global"},
        "from_version": row.from_version, "percent": row.percent, "notes": row.notes,
        "added": few(&diff.added), "removed": few(&diff.removed), "changed": few(&diff.changed),
    });
    tx.changed(change(row, ChangeKind::Created), shown, details);
    replaced.iter().for_each(|(old, _)| tx.also_changed(change(old, ChangeKind::Updated)));
    Ok(GlobalPublication { is_published: true, ..publication })
}

/// The outbox event of a version.
fn change(row: &Model, kind: ChangeKind) -> Change {
    Change::new(Resource::Policy, kind, IdKind::Policy.show(row.id)).at(row.version)
}

/// Plans a publication. Reads only.
async fn plan(conn: &impl Db, new: &Checked, (id, by): (Uuid, String), now: Stamp) -> Result<Plan> {
    let latest = global_policies::latest(conn).await?;
    refuse_stale(latest, new.expected_base)?;
    let active = global_policies::active_after(conn, 0).await?;
    let (document, from_version) = content(conn, new).await?;
    let stable = active.iter().find(|row| row.channel == PolicyChannel::Stable);
    let before = stable.map(|row| Document::from_json(&row.document)).transpose()?.unwrap_or_default();
    let json = document.to_json()?;
    let percent = new.canary.as_ref().and_then(|canary| canary.percent);
    let row = Model {
        id,
        version: latest + 1,
        channel: new.channel,
        state: PolicyState::Active,
        digest: document::digest(&json),
        document: json,
        percent: percent.map(i64::from),
        notes: new.notes.clone(),
        published_by: by,
        from_version,
        published_at: now,
        expires_at: (now.time() + new.life).into(),
    };
    let replaced = active.into_iter().filter(|old| new.channel == PolicyChannel::Stable || old.channel == new.channel);
    let replaced = replaced.map(|old| {
        let state = replaced_state(old.channel, old.version, new.channel, from_version);
        (old, state)
    });
    Ok(Plan {
        replaced: replaced.collect(),
        publication: GlobalPublication {
            diff: diff::between(&before, &document),
            warnings: warnings(&document),
            affected: affected::count_everywhere(conn, percent).await?,
            is_published: false,
            row,
        },
    })
}

async fn content<'a>(conn: &impl Db, new: &'a Checked) -> Result<(Cow<'a, Document>, Option<i64>)> {
    rules::priority(Scope::Global, new.priority, None)?;
    match &new.content {
        CheckedContent::Policy(document) => Ok((Cow::Borrowed(document), None)),
        CheckedContent::Version(version) => {
            let unknown = || Error::invalid(Reason::PolicyVersionNotFound, "from_version", "policy version not found");
            let row = global_policies::version(conn, *version).await?.ok_or_else(unknown)?;
            Ok((Cow::Owned(Document::from_json(&row.document)?), Some(*version)))
        }
    }
}

/// What belongs to a tenant is not in a policy for all of them.
fn refuse_parts_of_tenants(new: &Checked) -> Result<()> {
    let invalid = |field: &str, text: &'static str| Err(Error::invalid(Reason::InvalidArgument, field, text));
    if let Some(canary) = &new.canary {
        if !canary.group_ids.is_empty() {
            return invalid("canary.group_ids", "a global canary has a percentage only: groups belong to tenants");
        }
        if !canary.device_ids.is_empty() {
            return invalid("canary.device_ids", "a global canary has a percentage only: devices belong to tenants");
        }
    }
    match &new.content {
        CheckedContent::Policy(document) if document.gateway_pools.as_ref().is_some_and(|pools| !pools.is_empty()) => {
            invalid("policy.gateway_pools", "a global policy cannot name gateway pools: they belong to tenants")
        }
        CheckedContent::Policy(_) | CheckedContent::Version(_) => Ok(()),
    }
}
