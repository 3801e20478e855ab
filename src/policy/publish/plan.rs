//! What a publication writes: the new version, and the states of those that it replaces.

use std::borrow::Cow;

use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    affected, references,
    rules::{self, Checked, CheckedContent},
};
use crate::{
    base::{Error, Kind, Result, TenantScope, error::Reason},
    policy::{
        diff::{self, Diff},
        document::{self, Document, warnings},
        scope::Scope,
        versions,
    },
    store::{
        Db,
        columns::{Json, PolicyChannel, PolicyState},
        tables::{PolicyRow, TenantRows},
    },
};

/// Who publishes, and when.
pub(super) struct Publisher {
    /// The id of the new version.
    pub id: Uuid,
    pub subject: String,
    pub now: OffsetDateTime,
}

/// A publication that can be written.
pub(super) struct Plan {
    pub row: PolicyRow,
    /// The canonical JSON of the content.
    pub document: String,
    /// Versions that are no longer active, with their new states.
    pub replaced: Vec<(PolicyRow, PolicyState)>,
    pub diff: Diff,
    pub warnings: Vec<String>,
    /// The number of devices that it is for.
    pub affected: u64,
}

/// What is published: a scope, a content, and the version that it comes from.
struct Source<'a> {
    scope: Scope,
    priority: i64,
    document: Cow<'a, Document>,
    from: Option<i64>,
}

/// Plans a publication. Reads only; the caller writes it in the same transaction, with the tenant locked.
pub(super) async fn plan(
    rows: &TenantRows<'_, impl Db>,
    tenant: TenantScope,
    new: &Checked,
    by: Publisher,
) -> Result<Plan> {
    refuse_stale(rows.policies().latest().await?, new.expected_base)?;
    let latest = rows.latest_policy_version().await?;
    let source = source(rows, tenant, new).await?;
    references::require_scope(rows, source.scope).await?;
    let active = rows.policies().active_in(source.scope.kind(), source.scope.id(tenant.tenant())).await?;
    let current = current(rows, &active).await?;
    // What was published before is accepted as it is.
    if source.from.is_none() {
        references::require_pools(rows, &source.document, &current).await?;
    }
    if let Some(canary) = &new.canary {
        let before = active.iter().find_map(|row| row.canary.as_ref());
        references::require_cohort(rows, canary, before.map(|canary| &canary.0)).await?;
    }
    let stable = active.iter().position(|row| row.channel == PolicyChannel::Stable);
    let before = stable.map(|at| current[at].clone()).unwrap_or_default();
    let document = source.document.to_json()?;
    Ok(Plan {
        diff: diff::between(&before, &source.document),
        warnings: warnings(&source.document),
        affected: affected::count(rows, source.scope, new.canary.as_ref()).await?,
        replaced: replaced(active, new.channel, source.from),
        row: row(tenant, new, &source, by, latest + 1, document::digest(&document)),
        document,
    })
}

/// The contents of versions, in the same order.
async fn current(rows: &TenantRows<'_, impl Db>, active: &[PolicyRow]) -> Result<Vec<Document>> {
    Ok(versions::published(rows, active).await?.into_iter().map(|policy| policy.document).collect())
}

pub(super) fn refuse_stale(latest: i64, expected: Option<i64>) -> Result<()> {
    match expected {
        Some(expected) if expected != latest => {
            let message = format!("the latest version is {latest}, not {expected}; read it and publish again");
            Err(Error::new(Kind::Aborted, Reason::VersionStale, message))
        }
        _ => Ok(()),
    }
}

async fn source<'a>(rows: &TenantRows<'_, impl Db>, tenant: TenantScope, new: &'a Checked) -> Result<Source<'a>> {
    let given = given_scope(tenant, new)?;
    match &new.content {
        CheckedContent::Policy(document) => {
            let scope = given.unwrap_or(Scope::Tenant);
            let priority = rules::priority(scope, new.priority, None)?;
            Ok(Source { scope, priority, document: Cow::Borrowed(document), from: None })
        }
        CheckedContent::Version(version) => {
            let unknown = || Error::invalid(Reason::PolicyVersionNotFound, "from_version", "policy version not found");
            let row = rows.policies().version(*version).await?.ok_or_else(unknown)?;
            let scope = Scope::of(&row);
            if scope == Scope::Global {
                return Err(only_platform());
            }
            if given.is_some_and(|given| given != scope) {
                let message = format!("version {version} has another scope; leave out scope");
                return Err(Error::invalid(Reason::InvalidArgument, "scope", message));
            }
            let priority = rules::priority(scope, new.priority, Some(row.priority))?;
            let document = Cow::Owned(versions::content(rows, &row).await?);
            Ok(Source { scope, priority, document, from: Some(*version) })
        }
    }
}

/// Global versions are those of the platform.
fn only_platform() -> Error {
    let text = "the version is global; only the platform publishes it";
    Error::denied(Reason::PlatformRequired, text)
}

/// The scope of a request. That of the tenant may name only the tenant of the call.
fn given_scope(tenant: TenantScope, new: &Checked) -> Result<Option<Scope>> {
    match new.scope {
        Some((Scope::Global, _)) => Err(only_platform()),
        Some((_, Some(named))) if named != tenant.tenant() => {
            Err(Error::invalid(Reason::InvalidArgument, "scope.id", "scope.id must be the id of the tenant"))
        }
        scope => Ok(scope.map(|(scope, _)| scope)),
    }
}

/// The active versions that a publication replaces: a stable one replaces the stable one and the canary of its scope, a canary only
/// the canary. A canary is promoted if its content becomes stable.
fn replaced(active: Vec<PolicyRow>, channel: PolicyChannel, from: Option<i64>) -> Vec<(PolicyRow, PolicyState)> {
    let replaced = active.into_iter().filter(|row| channel == PolicyChannel::Stable || row.channel == channel);
    replaced
        .map(|row| (replaced_state(row.channel, row.version, channel, from), row))
        .map(|(state, row)| (row, state))
        .collect()
}

/// The state of a version that a publication to a channel replaces, whose content may be that of a version.
pub fn replaced_state(replaced: PolicyChannel, version: i64, channel: PolicyChannel, from: Option<i64>) -> PolicyState {
    let promoted = channel == PolicyChannel::Stable && replaced == PolicyChannel::Canary;
    if promoted && from == Some(version) { PolicyState::Promoted } else { PolicyState::Superseded }
}

fn row(
    tenant: TenantScope,
    new: &Checked,
    source: &Source<'_>,
    by: Publisher,
    version: i64,
    digest: String,
) -> PolicyRow {
    PolicyRow {
        tenant_id: tenant.into(),
        id: by.id,
        version,
        channel: new.channel,
        scope_type: source.scope.kind(),
        scope_id: source.scope.id(tenant.tenant()),
        priority: source.priority,
        state: PolicyState::Active,
        digest,
        canary: new.canary.clone().map(Json),
        notes: new.notes.clone(),
        published_by: by.subject,
        from_version: source.from,
        published_at: by.now.into(),
        expires_at: (by.now + new.life).into(),
        reported: 0,
        refused: 0,
        gateways_reported: 0,
        gateways_refused: 0,
        ended_version: None,
    }
}
