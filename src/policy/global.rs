//! The policies of the platform, as tenants have them.
//!
//! Each tenant has a copy of the active global versions among its own policies, with a number of its own, because `version` counts per
//! tenant over all scopes (zero-trust contract, decisions, "Policy scope"). Everything else then treats them as policies of the tenant:
//! resolution, reports, canaries, streams. The content is not copied. A tenant notes the newest global version that it has, and a job copies
//! what tenants lack: after a publication, after a crash, and for new tenants alike.

use futures::{StreamExt, stream};
use serde_json::json;

use super::{
    document::Document,
    publish::{self, replaced_state},
    scope::Scope,
};
use crate::{
    base::{Error, IdKind, Kind, Page, PageRequest, Result, TenantId, TenantRef, TenantScope, error::Reason},
    jobs::Run,
    store::{
        ChangeKind, Db, Store, Tx,
        columns::{Json, PolicyCanary, PolicyChannel, PolicyScopeKind, PolicyState},
        tables::{
            PolicyRow, TenantRows,
            global_policies::{self, Model},
        },
    },
    tenants,
};

/// Maximum number of tenants that one run of the job reaches.
pub(super) const BATCH: u64 = 200;
/// The number of tenants that are written at the same time.
const AT_ONCE: usize = 8;

/// A page of the global versions, oldest first.
pub async fn page(store: &Store, request: PageRequest) -> Result<Page<Model>> {
    let (rows, total) = global_policies::page(store.read(), request).await?;
    Ok(Page::cut(request, rows, total, global_policies::place_of))
}

/// A global version and its content. Fails with NOT_FOUND if there is none.
pub async fn get(store: &Store, version: i64) -> Result<(Model, Document)> {
    let not_found = || Error::not_found(Reason::PolicyVersionNotFound, "policy version not found");
    let row = global_policies::version(store.read(), version).await?.ok_or_else(not_found)?;
    let document = Document::from_json(&row.document)?;
    Ok((row, document))
}

/// Whether tenants lack a global version.
pub(super) async fn is_behind(store: &Store) -> Result<bool> {
    let latest = global_policies::latest(store.read()).await?;
    Ok(latest > 0 && !global_policies::tenants_behind(store.read(), latest, 1).await?.is_empty())
}

/// Copies the global versions that tenants lack. Returns the number of tenants.
pub(super) async fn spread(store: &Store, run: &Run) -> Result<u64> {
    let latest = global_policies::latest(store.read()).await?;
    let behind = global_policies::tenants_behind(store.read(), latest, BATCH).await?;
    let count = behind.len() as u64;
    let copying = behind.into_iter().map(|tenant| run.maintain(store, "policy.global.copy", tenant, copy_in));
    let outcomes: Vec<_> = stream::iter(copying).buffer_unordered(AT_ONCE).collect().await;
    // One that fails does not delay the others; one that is gone needs nothing.
    let failed = outcomes.into_iter().filter_map(Result::err).find(|error| error.kind != Kind::NotFound);
    failed.map_or(Ok(count), Err)
}

async fn copy_in(tx: &Tx, tenant: &TenantId) -> Result<()> {
    // Locked, as for a publication of the tenant: nothing else gets the versions.
    let (_, scope) = tenants::resolve_any_locked(tx, &TenantRef::Id(*tenant)).await?;
    let applied = global_policies::applied(tx.conn(), *tenant).await?;
    // First: a version that is published meanwhile is among those that are read next, or is copied by the next run.
    let latest = global_policies::latest(tx.conn()).await?;
    let lacking = global_policies::active_after(tx.conn(), applied).await?;
    let latest = lacking.last().map_or(latest, |row| row.version.max(latest));
    for row in &lacking {
        copy(tx, scope, &tx.tenant(scope), row).await?;
    }
    if applied < latest {
        global_policies::set_applied(tx.conn(), *tenant, latest).await?;
    }
    Ok(())
}

async fn copy(tx: &Tx, scope: TenantScope, rows: &TenantRows<'_, impl Db>, global: &Model) -> Result<()> {
    let version = rows.latest_policy_version().await?.saturating_add(1);
    let from = match global.from_version {
        Some(from) => global_policies::version(tx.conn(), from).await?.map(|row| row.id),
        None => None,
    };
    let active = rows.policies().active_in(PolicyScopeKind::Global, Scope::Global.id(scope.tenant())).await?;
    let is_replaced = |old: &&PolicyRow| global.channel == PolicyChannel::Stable || old.channel == global.channel;
    for old in active.iter().filter(is_replaced) {
        let promoted = from == Some(old.id);
        let state = replaced_state(old.channel, old.version, global.channel, promoted.then_some(old.version));
        rows.policies().end(old.id, state, version).await?;
        tx.also_changed(publish::change(scope, old, ChangeKind::Updated));
    }
    let copied_from = match from {
        Some(id) => rows.policies().get_locked(id).await?.map(|row| row.version),
        None => None,
    };
    let row = copy_of(scope, global, version, copied_from);
    rows.policies().insert(row.clone()).await?;
    let details = json!({
        "version": version, "channel": row.channel.as_str(), "digest": row.digest, "scope": {"type": "global"},
        "global_version": global.version,
    });
    tx.changed(publish::change(scope, &row, ChangeKind::Created), IdKind::Policy.show(row.id), details);
    Ok(())
}

fn copy_of(scope: TenantScope, global: &Model, version: i64, from_version: Option<i64>) -> PolicyRow {
    let canary = global.percent.and_then(|percent| u32::try_from(percent).ok());
    PolicyRow {
        tenant_id: scope.into(),
        id: global.id,
        version,
        channel: global.channel,
        scope_type: PolicyScopeKind::Global,
        scope_id: Scope::Global.id(scope.tenant()),
        priority: 0,
        state: PolicyState::Active,
        digest: global.digest.clone(),
        canary: canary.map(|percent| Json(PolicyCanary { percent: Some(percent), ..PolicyCanary::default() })),
        notes: global.notes.clone(),
        published_by: global.published_by.clone(),
        from_version,
        published_at: global.published_at,
        expires_at: global.expires_at,
        reported: 0,
        refused: 0,
        gateways_reported: 0,
        gateways_refused: 0,
        ended_version: None,
    }
}
