//! Projects: a record of what is wanted, with a generation. Nothing is applied to a cluster here.

use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use sea_orm::QuerySelect;

use super::{
    lists::{Listed, Paging},
    measures, names, namespaces,
};
use crate::{
    base::{
        Access, Cx, Error, ManagerId, Result, TenantId, TenantRef, TenantScope, error::Reason, scope::foreign_tenant,
    },
    store::{
        Change, ChangeKind, Resource, Store, Tx,
        tables::{ProjectRow, owner_of_project, projects_query},
    },
    tenants,
};

/// A project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    pub id: Uuid,
    pub tenant: TenantId,
    pub name: String,
    pub created_at: OffsetDateTime,
}

impl From<ProjectRow> for Project {
    fn from(row: ProjectRow) -> Self {
        Self { id: row.id, tenant: row.tenant_id.tenant(), name: row.name, created_at: row.created_at.time() }
    }
}

/// Creates a project of a tenant, and records the name of its namespace.
pub async fn create(cx: &Cx, store: &Store, tenant: &str, name: &str) -> Result<Project> {
    if tenant.is_empty() {
        return Err(Error::invalid(Reason::FieldRequired, "tenant_id", "the tenant's id is empty"));
    }
    names::check(name)?;
    let project = store.write(cx, (TenantRef::parse(tenant), name.to_owned()), insert).await?;
    measures::created("project");
    Ok(project)
}

async fn insert(tx: &Tx, (tenant, name): &(TenantRef, String)) -> Result<Project> {
    let (tenant, scope) = tenants::resolve_locked(tx, tenant).await.map_err(hidden)?;
    let (id, now) = (tx.new_id(), tx.now());
    let row = ProjectRow {
        tenant_id: scope.into(),
        id,
        name: name.clone(),
        namespace: namespaces::reserve(tx, (tenant.id, tenant.name.as_str()), (id, name)).await?,
        generation: 1,
        observed_generation: 0,
        observed: None,
        created_at: now.into(),
        updated_at: now.into(),
    };
    tx.tenant(scope).projects().insert(row.clone()).await?;
    let details = json!({"name": row.name, "namespace": row.namespace});
    tx.changed(change(&row, ChangeKind::Created), ManagerId::Project.show(id), details);
    Ok(row.into())
}

/// The projects that the call may read, newest first: those of the tenant `named`, unless it is empty.
pub async fn list(cx: &Cx, store: &Store, named: &str, paging: Paging) -> Result<Listed<Project>> {
    let tenant = match (named, &cx.access) {
        ("", Access::Platform) => None,
        ("", _) => Some(cx.caller.tenant.as_ref().ok_or_else(foreign_tenant)?.id),
        (named, access) => match tenants::resolve(cx, store, &TenantRef::parse(named)).await {
            Ok((tenant, _)) => Some(tenant.id),
            // Only callers that may read every tenant learn that there is none.
            Err(error) if error.reason == Reason::TenantNotFound && *access == Access::Platform => {
                return Ok(Listed { items: Vec::new(), next: None });
            }
            Err(error) => return Err(hidden(error)),
        },
    };
    let query = move |after, limit| projects_query(tenant, after).limit(limit).into_model::<ProjectRow>();
    let Listed { items, next } = paging.fetch(cx, store, |row| row.id, query).await?;
    Ok(Listed { items: items.into_iter().map(Project::from).collect(), next })
}

/// The project with an id.
pub async fn get(cx: &Cx, store: &Store, named: &str) -> Result<Project> {
    let (scope, id) = find(cx, store, named).await?;
    Ok(store.tenant(scope).projects().get(id).await?.ok_or_else(not_found)?.into())
}

/// The id of a project, and the proof that the call may access it.
pub(super) async fn find(cx: &Cx, store: &Store, named: &str) -> Result<(TenantScope, Uuid)> {
    let id = ManagerId::Project.read(named).ok_or_else(not_found)?;
    check_own(cx, id).map_err(|()| not_found())?;
    let owner = owner_of_project(store.read(), id).await?.ok_or_else(not_found)?;
    let scope = tenants::resolve(cx, store, &TenantRef::Id(owner)).await;
    Ok((scope.map_err(|error| unless_hidden(error, not_found))?.1, id))
}

/// The project with an id, locked with its tenant.
pub(super) async fn find_locked(tx: &Tx, id: Option<Uuid>) -> Result<(TenantScope, ProjectRow)> {
    let id = id.ok_or_else(not_found)?;
    check_own(tx.cx(), id).map_err(|()| not_found())?;
    let owner = owner_of_project(tx.conn(), id).await?.ok_or_else(not_found)?;
    let scope = tenants::resolve_locked(tx, &TenantRef::Id(owner)).await;
    let (_, scope) = scope.map_err(|error| unless_hidden(error, not_found))?;
    Ok((scope, tx.tenant(scope).projects().get_locked(id).await?.ok_or_else(not_found)?))
}

/// Refuses other projects for a caller that is limited to one.
pub(super) fn check_own(cx: &Cx, project: Uuid) -> Result<(), ()> {
    let own = cx.caller.project.as_deref().map(|own| ManagerId::Project.read(own));
    if own.is_none_or(|own| own == Some(project)) { Ok(()) } else { Err(()) }
}

/// Renames a project, if a name is given. Its namespace keeps its name.
pub async fn update(cx: &Cx, store: &Store, named: &str, name: Option<&str>) -> Result<()> {
    if named.is_empty() {
        return Err(Error::invalid(Reason::FieldRequired, "id", "the project's id is empty"));
    }
    name.map_or(Ok(()), names::check)?;
    store.write(cx, (ManagerId::Project.read(named), name.map(str::to_owned)), rename).await
}

async fn rename(tx: &Tx, (id, name): &(Option<Uuid>, Option<String>)) -> Result<()> {
    let (scope, mut row) = find_locked(tx, *id).await?;
    let shown = ManagerId::Project.show(row.id);
    let Some(name) = name.as_ref().filter(|name| **name != row.name) else {
        tx.audit_only(Some(scope.tenant()), shown, Value::Null);
        return Ok(());
    };
    let before = std::mem::replace(&mut row.name, name.clone());
    row.generation += 1;
    row.updated_at = tx.now().into();
    tx.tenant(scope).projects().update(&row).await?;
    tx.changed(change(&row, ChangeKind::Updated), shown, json!({"before": before, "name": row.name}));
    Ok(())
}

/// Deletes a project with its apps.
pub async fn delete(cx: &Cx, store: &Store, named: &str) -> Result<()> {
    store.write(cx, ManagerId::Project.read(named), remove).await
}

async fn remove(tx: &Tx, id: &Option<Uuid>) -> Result<()> {
    let (scope, row) = find_locked(tx, *id).await?;
    let rows = tx.tenant(scope);
    for app in rows.apps().ids_of(row.id).await? {
        let deleted = Change::new(Resource::App, ChangeKind::Deleted, ManagerId::App.show(app));
        tx.also_changed(deleted.within(scope.tenant()));
    }
    if !rows.projects().delete(row.id).await? {
        return Err(not_found());
    }
    let details = json!({"name": row.name, "namespace": row.namespace});
    tx.changed(change(&row, ChangeKind::Deleted), ManagerId::Project.show(row.id), details);
    Ok(())
}

fn change(row: &ProjectRow, kind: ChangeKind) -> Change {
    let change = Change::new(Resource::Project, kind, ManagerId::Project.show(row.id));
    change.within(row.tenant_id.tenant()).at(row.generation)
}

pub(super) fn not_found() -> Error {
    Error::not_found(Reason::ProjectNotFound, "project not found")
}

/// The same error for a tenant that does not exist and for one that the call may not access.
fn hidden(error: Error) -> Error {
    unless_hidden(error, tenants::not_found)
}

/// What is missing, instead of an error that says that its tenant is.
pub(super) fn unless_hidden(error: Error, missing: fn() -> Error) -> Error {
    match error.reason {
        Reason::TenantNotFound | Reason::TenantForeign => missing(),
        _ => error,
    }
}

/// Records that a token of a project was issued. Fails if there is no such project.
pub async fn record_token(cx: &Cx, store: &Store, id: Option<Uuid>, details: Value) -> Result<()> {
    store.write(cx, (id, details), record).await
}

async fn record(tx: &Tx, (id, details): &(Option<Uuid>, Value)) -> Result<()> {
    let (scope, row) = find_locked(tx, *id).await?;
    tx.audit_only(Some(scope.tenant()), ManagerId::Project.show(row.id), details.clone());
    Ok(())
}
