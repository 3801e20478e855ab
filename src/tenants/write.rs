//! Changes of the registry, in a write.

use std::collections::BTreeMap;

use sea_orm::{ColumnTrait, EntityTrait, ExprTrait, QueryFilter, sea_query::Expr};
use serde_json::Value;
use uuid::Uuid;

use super::{Status, Suspension, Tenant, database, limit, lists, names, not_found, purge};
use crate::{
    base::{
        Error, Result, TenantId, TenantName, TenantScope,
        error::{Kind, Reason},
    },
    store::{
        Change, ChangeKind, Exec, Fetch, FetchUpdated, Resource, Stamp, Tx, columns::Json, submit_rows, tables::tenants,
    },
};

#[derive(Clone, Debug)]
pub struct NewTenant {
    pub name: TenantName,
    pub display_name: String,
    pub status: Status,
    pub labels: BTreeMap<String, String>,
}

impl NewTenant {
    /// An active tenant without further properties.
    pub fn named(name: TenantName) -> Self {
        Self { display_name: name.as_str().to_owned(), name, status: Status::Active, labels: BTreeMap::new() }
    }
}

/// The changes of a tenant; the default changes only the version.
#[derive(Clone, Debug, Default)]
pub struct TenantChange {
    /// Names derived from the old handle stay.
    pub name: Option<TenantName>,
    pub display_name: Option<String>,
    /// Replaces all labels.
    pub labels: Option<BTreeMap<String, String>>,
}

/// The status of a tenant, with its details.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub status: Status,
    pub suspended_by: Option<Suspension>,
    pub purge_at: Option<Stamp>,
}

/// Adds a tenant. Fails if the name is taken (ignoring case), or is another tenant's id, or, with a `max`, if the limit
/// is reached. The scope is the caller's own: a caller that may create a tenant may access it.
pub async fn insert(tx: &Tx, new: &NewTenant, max: Option<u64>) -> Result<(Tenant, TenantScope)> {
    if let Some(max) = max {
        limit::check(tx, &new.name, max).await?;
    }
    names::refuse_id(tx, &new.name).await?;
    let now = Stamp::from(tx.now());
    let row = tenants::Model {
        id: TenantId::from_uuid(tx.new_id()),
        name: new.name.as_str().to_owned(),
        name_key: new.name.key(),
        display_name: new.display_name.clone(),
        status: new.status,
        suspended_by: None,
        version: 1,
        labels: Json(new.labels.clone()),
        created_at: now,
        updated_at: now,
        purge_at: None,
        list_key: lists::key(&new.display_name, new.name.as_str()),
    };
    let scope = TenantScope::grant(&tx.cx().access, row.id, &row.name_key)?;
    submit_rows::<tenants::Entity>(tx.conn(), vec![row.clone()]).await?;
    Ok((row.into(), scope))
}

/// Changes a tenant and increments its version. With `expected`, fails as stale if the tenant has another version.
pub async fn update(tx: &Tx, scope: TenantScope, expected: Option<i64>, change: &TenantChange) -> Result<Tenant> {
    apply(tx, scope, expected, change, None).await
}

/// Changes the status of a tenant and increments its version. Its database follows.
pub(super) async fn stand(tx: &Tx, scope: TenantScope, standing: &Standing) -> Result<Tenant> {
    let tenant = apply(tx, scope, None, &TenantChange::default(), Some(standing)).await?;
    database::follow(tx, &tenant, scope).await?;
    Ok(tenant)
}

async fn apply(
    tx: &Tx,
    scope: TenantScope,
    expected: Option<i64>,
    change: &TenantChange,
    standing: Option<&Standing>,
) -> Result<Tenant> {
    let id = scope.tenant();
    let mut update = tenants::Entity::update_many()
        .col_expr(tenants::Column::Version, Expr::col(tenants::Column::Version).add(1))
        .col_expr(tenants::Column::UpdatedAt, Expr::value(Stamp::from(tx.now())))
        .filter(tenants::Column::Id.eq(id));
    if let Some(name) = &change.name {
        update = update
            .col_expr(tenants::Column::Name, Expr::value(name.as_str()))
            .col_expr(tenants::Column::NameKey, Expr::value(name.key()));
    }
    if let Some(standing) = standing {
        update = update
            .col_expr(tenants::Column::Status, Expr::value(standing.status))
            .col_expr(tenants::Column::SuspendedBy, Expr::value(standing.suspended_by.clone()))
            .col_expr(tenants::Column::PurgeAt, Expr::value(standing.purge_at));
    }
    if let Some(display_name) = &change.display_name {
        update = update.col_expr(tenants::Column::DisplayName, Expr::value(display_name.as_str()));
    }
    if let Some(labels) = &change.labels {
        update = update.col_expr(tenants::Column::Labels, Expr::value(Json(labels.clone())));
    }
    if let Some(version) = expected {
        update = update.filter(tenants::Column::Version.eq(version));
    }
    let Some(row) = update.fetch_updated(tx.conn()).await?.pop() else {
        let exists = tenants::Entity::find_by_id(id).fetch_one(tx.conn()).await?.is_some();
        return Err(if exists { stale() } else { not_found() });
    };
    sort_anew(tx, &row).await?;
    Ok(row.into())
}

/// Updates the sort key of a tenant, if it is outdated: because of this change, or because an older version wrote it.
async fn sort_anew(tx: &Tx, row: &tenants::Model) -> Result<()> {
    let key = lists::key(&row.display_name, &row.name);
    if row.list_key != key {
        let update = tenants::Entity::update_many().col_expr(tenants::Column::ListKey, Expr::value(key));
        update.filter(tenants::Column::Id.eq(row.id)).run(tx.conn()).await?;
    }
    Ok(())
}

/// Renames a tenant. Fails if the handle is taken (ignoring case). The same handle changes nothing. A tenant without a
/// display name of its own is displayed by the new handle.
pub async fn rename(tx: &Tx, tenant: &Tenant, scope: TenantScope, name: TenantName) -> Result<Tenant> {
    if tenant.name == name {
        return Ok(tenant.clone());
    }
    if tenant.name.key() != name.key() {
        names::release(tx, &tenant.name).await?;
        names::release(tx, &name).await?;
    }
    let display_name = (tenant.display_name == tenant.name.as_str()).then(|| name.as_str().to_owned());
    update(tx, scope, None, &TenantChange { name: Some(name), display_name, ..TenantChange::default() }).await
}

/// Fails and lists everything that still depends on a tenant, if there is anything.
pub(super) async fn refuse_blockers(tx: &Tx, scope: TenantScope) -> Result<()> {
    refuse_blockers_but(tx, scope, &[]).await
}

async fn refuse_blockers_but(tx: &Tx, scope: TenantScope, allowed: &[&str]) -> Result<()> {
    let mut blockers = tx.tenant(scope).blockers().await?;
    blockers.retain(|kind| !allowed.contains(kind));
    if blockers.is_empty() {
        return Ok(());
    }
    let message = format!("the tenant still has {}", blockers.join(", "));
    Err(Error::precondition(Reason::TenantInUse, message))
}

/// Deletes a tenant permanently. Fails if something still depends on it, and names what. Its database is kept.
pub async fn delete(tx: &Tx, tenant: &Tenant, scope: TenantScope) -> Result<()> {
    remove(tx, tenant, scope, &TenantDeletion::default()).await.map(drop)
}

/// As [`delete`], even if the tenant has rows of the kinds in `also`, which would otherwise prevent it.
pub async fn delete_with(tx: &Tx, tenant: &Tenant, scope: TenantScope, also: &[&str]) -> Result<()> {
    remove(tx, tenant, scope, &TenantDeletion { also, ..TenantDeletion::default() }).await.map(drop)
}

/// What a deletion includes.
#[derive(Clone, Copy, Debug, Default)]
pub struct TenantDeletion<'a> {
    /// The kinds of rows that do not prevent it.
    pub also: &'a [&'a str],
    pub drop_database: bool,
}

/// The operations that complete a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeletedTenant {
    /// Removes the rows.
    pub purge: Uuid,
    /// Removes what was created outside of the registry; `None` if nothing was.
    pub teardown: Option<Uuid>,
}

/// Deletes a tenant permanently. After the commit no surface finds the tenant, and its name is free. Starts the operations
/// [`PurgeTenant`](super::PurgeTenant) and [`TearDownTenant`](database::TearDownTenant).
pub async fn remove(
    tx: &Tx,
    tenant: &Tenant,
    scope: TenantScope,
    deletion: &TenantDeletion<'_>,
) -> Result<DeletedTenant> {
    refuse_blockers_but(tx, scope, deletion.also).await?;
    let key = purge::key_of_deleted(scope.tenant());
    let deleted = tenants::Entity::update_many()
        .col_expr(tenants::Column::Status, Expr::value(Status::Deleted))
        .col_expr(tenants::Column::NameKey, Expr::value(key))
        .col_expr(tenants::Column::UpdatedAt, Expr::value(Stamp::from(tx.now())))
        .filter(tenants::Column::Id.eq(scope.tenant()))
        .filter(tenants::exists())
        .run(tx.conn())
        .await?;
    if deleted == 0 {
        return Err(not_found());
    }
    let purge = purge::start(tx, scope.tenant(), tenant.name.as_str()).await?;
    let teardown = database::start_teardown(tx, tenant, deletion.drop_database).await?;
    names::release(tx, &tenant.name).await?;
    Ok(DeletedTenant { purge, teardown })
}

fn stale() -> Error {
    Error::new(Kind::Aborted, Reason::VersionStale, "the tenant was changed in the meantime; read it again")
}

/// Records a change of a tenant. Every operation that creates, changes or deletes one calls this once.
pub fn record(tx: &Tx, kind: ChangeKind, tenant: &Tenant, details: Value) {
    let change = Change::new(Resource::Tenant, kind, tenant.id.dashed()).within(tenant.id).at(tenant.version);
    tx.changed(change, tenant.name.as_str(), details);
}

/// Records an update of a tenant, which may have changed nothing.
pub fn record_update(tx: &Tx, before: &Tenant, after: &Tenant, details: Value) {
    match before.version == after.version {
        true => tx.audit_only(Some(after.id), after.name.as_str(), details),
        false => record(tx, ChangeKind::Updated, after, details),
    }
}
