//! The publication of policies (zero-trust contract, section 4.8).

mod affected;
mod global;
mod plan;
mod references;
mod rules;

use serde_json::{Value, json};
use uuid::Uuid;

pub use self::{
    global::{GlobalPublication, publish_global},
    plan::replaced_state,
    rules::{CanaryInput, Content, NewPolicy, ScopeInput},
};
use self::{plan::Plan, rules::Checked};
use super::{diff::Diff, scope::Scope, versions::Version};
use crate::{
    base::{Cx, IdKind, Reach, Result, TenantRef, TenantScope},
    store::{Change, ChangeKind, Resource, Store, Tx, tables::PolicyRow},
    tenants,
};

/// A publication, or what it would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    pub version: Version,
    pub diff: Diff,
    pub warnings: Vec<String>,
    /// The number of devices that it is for.
    pub affected: u64,
    /// Whether it was published.
    pub is_published: bool,
}

/// Publishes a policy; for [`Reach::Own`] only to the canary. Fails with INVALID_ARGUMENT for an invalid member, for groups and pools that
/// the tenant does not have and for an unknown `from_version`; with ABORTED if the tenant has another latest version than expected.
pub async fn publish(cx: &Cx, store: &Store, tenant: &TenantRef, new: NewPolicy, reach: Reach) -> Result<Publication> {
    let dry_run = new.dry_run;
    let checked = rules::check(new, reach)?;
    if dry_run {
        return preview(cx, store, tenant, checked).await;
    }
    store.write(cx, (tenant.clone(), checked), publish_in).await
}

/// What a publication would be.
async fn preview(cx: &Cx, store: &Store, tenant: &TenantRef, new: Checked) -> Result<Publication> {
    let (_, scope) = tenants::resolve(cx, store, tenant).await?;
    let by = plan::Publisher { id: Uuid::nil(), subject: cx.caller.subject.clone(), now: store.clock().now() };
    let plan = plan::plan(&store.tenant(scope), scope, &new, by).await?;
    Ok(publication(scope, plan, false))
}

async fn publish_in(tx: &Tx, (tenant, new): &(TenantRef, Checked)) -> Result<Publication> {
    // Publications of a tenant wait for each other here, so that each has its own version.
    let (_, scope) = tenants::resolve_locked(tx, tenant).await?;
    let by = plan::Publisher { id: tx.new_id(), subject: tx.cx().caller.subject.clone(), now: tx.now() };
    let rows = tx.tenant(scope);
    let plan = plan::plan(&rows, scope, new, by).await?;
    let Plan { row, document, replaced, diff, .. } = &plan;
    for (old, state) in replaced {
        rows.policies().end(old.id, *state, row.version).await?;
    }
    rows.policies().insert(row.clone()).await?;
    rows.policy_documents().insert(row.id, document.clone()).await?;
    tx.changed(change(scope, row, ChangeKind::Created), IdKind::Policy.show(row.id), recorded(scope, row, diff));
    replaced.iter().for_each(|(old, _)| tx.also_changed(change(scope, old, ChangeKind::Updated)));
    Ok(publication(scope, plan, true))
}

fn publication(scope: TenantScope, plan: Plan, is_published: bool) -> Publication {
    let Plan { row, diff, warnings, affected, .. } = plan;
    Publication { version: Version { tenant: scope.tenant(), row }, diff, warnings, affected, is_published }
}

/// The outbox event of a version.
pub(super) fn change(scope: TenantScope, row: &PolicyRow, kind: ChangeKind) -> Change {
    Change::new(Resource::Policy, kind, IdKind::Policy.show(row.id)).within(scope.tenant()).at(row.version)
}

/// The number of names of a difference in the audit log.
const RECORDED: usize = 100;

fn recorded(scope: TenantScope, row: &PolicyRow, diff: &Diff) -> Value {
    let canary = row.canary.as_ref().map(|canary| {
        json!({
            "percent": canary.percent, "groups": canary.group_ids.len(), "devices": canary.device_ids.len(),
        })
    });
    json!({
        "version": row.version, "channel": row.channel.as_str(), "digest": row.digest,
        "scope": Scope::of(row).to_json(scope.tenant()),
        "from_version": row.from_version, "canary": canary, "notes": row.notes,
        "added": few(&diff.added), "removed": few(&diff.removed), "changed": few(&diff.changed),
    })
}

fn few(names: &[String]) -> Value {
    json!({"count": names.len(), "first": names.iter().take(RECORDED).collect::<Vec<_>>()})
}
