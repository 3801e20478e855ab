//! Apps of projects: a record of what is wanted, with a generation. Nothing is applied to a cluster here.

use sea_orm::QuerySelect;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    images::{self, ImageSettings},
    lists::{Listed, Paging},
    measures, names, projects, registries,
};
use crate::{
    base::{Access, Cx, Error, ManagerId, Result, TenantRef, TenantScope, error::Reason, scope::foreign_tenant},
    store::{
        Change, ChangeKind, Resource, Store, Tx,
        tables::{AppRow, AppsOf, apps_query, owner_of_app},
    },
    tenants,
};

/// An app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    pub id: Uuid,
    pub project: Uuid,
    pub name: String,
    pub image: Option<String>,
    pub host: Option<String>,
    pub created_at: OffsetDateTime,
}

impl From<AppRow> for App {
    fn from(row: AppRow) -> Self {
        Self {
            id: row.id,
            project: row.project_id,
            name: row.name,
            image: row.image,
            host: row.host,
            created_at: row.created_at.time(),
        }
    }
}

/// What a caller wants of an app: `None` leaves a member as it is, an empty text removes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppChange {
    pub name: Option<String>,
    pub image: Option<String>,
    pub host: Option<String>,
}

impl AppChange {
    /// Checks everything that does not depend on the database.
    fn check(&self) -> Result<()> {
        self.name.as_deref().map_or(Ok(()), names::check)?;
        if let Some(image) = given(self.image.as_ref()) {
            registries::registry(image)?;
        }
        match given(self.host.as_ref()) {
            Some(host) if !is_host_name(host) => {
                Err(Error::invalid(Reason::InvalidArgument, "host", "host must be a DNS name such as web.example.com"))
            }
            _ => Ok(()),
        }
    }
}

/// A text that is set and not empty.
fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

/// Whether a text is a name that an Ingress may have: a DNS name of lower-case labels (RFC 1123), in any case.
fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let plain = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        (1..=63).contains(&label.len()) && plain && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

/// Creates an app of a project.
pub async fn create(cx: &Cx, store: &Store, settings: &ImageSettings, project: &str, wanted: AppChange) -> Result<App> {
    if project.is_empty() {
        return Err(Error::invalid(Reason::FieldRequired, "project_id", "the project's id is empty"));
    }
    wanted.check()?;
    let app = store.write(cx, (ManagerId::Project.read(project), wanted, settings.clone()), insert).await?;
    measures::created("app");
    Ok(app)
}

async fn insert(tx: &Tx, (project, wanted, settings): &(Option<Uuid>, AppChange, ImageSettings)) -> Result<App> {
    check_image(tx, settings, wanted).await?;
    let (scope, project) = projects::find_locked(tx, *project).await?;
    let now = tx.now();
    let row = AppRow {
        tenant_id: scope.into(),
        id: tx.new_id(),
        project_id: project.id,
        name: wanted.name.clone().unwrap_or_default(),
        image: given(wanted.image.as_ref()).map(str::to_owned),
        host: given(wanted.host.as_ref()).map(str::to_ascii_lowercase),
        generation: 1,
        observed_generation: 0,
        observed: None,
        created_at: now.into(),
        updated_at: now.into(),
    };
    tx.tenant(scope).apps().insert(row.clone()).await?;
    tx.changed(change(&row, ChangeKind::Created), ManagerId::App.show(row.id), details(&row));
    Ok(row.into())
}

/// Refuses an image whose registry is not allowed. In the write, so that the policy is the current one.
async fn check_image(tx: &Tx, settings: &ImageSettings, wanted: &AppChange) -> Result<()> {
    match given(wanted.image.as_ref()) {
        Some(image) => images::check(tx.conn(), settings, image).await,
        None => Ok(()),
    }
}

/// The apps that the call may read, newest first: those of the project `named`, unless it is empty.
pub async fn list(cx: &Cx, store: &Store, named: &str, paging: Paging) -> Result<Listed<App>> {
    let of = if named.is_empty() {
        all_readable(cx)?
    } else {
        match projects::find(cx, store, named).await {
            Ok((scope, project)) => AppsOf::Project(scope.tenant(), project),
            // Only callers that may read every project learn that there is none.
            Err(error) if error.reason == Reason::ProjectNotFound && cx.access == Access::Platform => {
                return Ok(Listed { items: Vec::new(), next: None });
            }
            Err(error) => return Err(error),
        }
    };
    let query = move |after, limit| apps_query(of, after).limit(limit).into_model::<AppRow>();
    let Listed { items, next } = paging.fetch(cx, store, |row| row.id, query).await?;
    Ok(Listed { items: items.into_iter().map(App::from).collect(), next })
}

/// All apps that the call may read. A caller of a project must name it (manager contract, section 2).
fn all_readable(cx: &Cx) -> Result<AppsOf> {
    if cx.caller.project.is_some() {
        return Err(Error::denied(Reason::PermissionDenied, "name your own project in projectID"));
    }
    match &cx.access {
        Access::Platform => Ok(AppsOf::All),
        _ => cx.caller.tenant.as_ref().map(|own| AppsOf::Tenant(own.id)).ok_or_else(foreign_tenant),
    }
}

/// The app with an id.
pub async fn get(cx: &Cx, store: &Store, named: &str) -> Result<App> {
    let id = ManagerId::App.read(named).ok_or_else(not_found)?;
    let owner = owner_of_app(store.read(), id).await?.ok_or_else(not_found)?;
    let scope = tenants::resolve(cx, store, &TenantRef::Id(owner)).await;
    let (_, scope) = scope.map_err(|error| projects::unless_hidden(error, not_found))?;
    let row = store.tenant(scope).apps().get(id).await?.ok_or_else(not_found)?;
    projects::check_own(cx, row.project_id).map_err(|()| not_found())?;
    Ok(row.into())
}

/// Changes an app.
pub async fn update(cx: &Cx, store: &Store, settings: &ImageSettings, named: &str, wanted: AppChange) -> Result<()> {
    if named.is_empty() {
        return Err(Error::invalid(Reason::FieldRequired, "id", "the app's id is empty"));
    }
    wanted.check()?;
    store.write(cx, (ManagerId::App.read(named), wanted, settings.clone()), apply).await
}

async fn apply(tx: &Tx, (id, wanted, settings): &(Option<Uuid>, AppChange, ImageSettings)) -> Result<()> {
    check_image(tx, settings, wanted).await?;
    let (scope, before) = find_locked(tx, *id).await?;
    let mut row = before.clone();
    if let Some(name) = &wanted.name {
        row.name.clone_from(name);
    }
    if wanted.image.is_some() {
        row.image = given(wanted.image.as_ref()).map(str::to_owned);
    }
    if wanted.host.is_some() {
        row.host = given(wanted.host.as_ref()).map(str::to_ascii_lowercase);
    }
    let shown = ManagerId::App.show(row.id);
    if row == before {
        tx.audit_only(Some(scope.tenant()), shown, Value::Null);
        return Ok(());
    }
    row.generation += 1;
    row.updated_at = tx.now().into();
    tx.tenant(scope).apps().update(&row).await?;
    tx.changed(change(&row, ChangeKind::Updated), shown, json!({"before": details(&before), "after": details(&row)}));
    Ok(())
}

/// Deletes an app.
pub async fn delete(cx: &Cx, store: &Store, named: &str) -> Result<()> {
    store.write(cx, ManagerId::App.read(named), remove).await
}

async fn remove(tx: &Tx, id: &Option<Uuid>) -> Result<()> {
    let (scope, row) = find_locked(tx, *id).await?;
    if !tx.tenant(scope).apps().delete(row.id).await? {
        return Err(not_found());
    }
    tx.changed(change(&row, ChangeKind::Deleted), ManagerId::App.show(row.id), details(&row));
    Ok(())
}

/// The app with an id, locked with its tenant.
async fn find_locked(tx: &Tx, id: Option<Uuid>) -> Result<(TenantScope, AppRow)> {
    let id = id.ok_or_else(not_found)?;
    let owner = owner_of_app(tx.conn(), id).await?.ok_or_else(not_found)?;
    let scope = tenants::resolve_locked(tx, &TenantRef::Id(owner)).await;
    let (_, scope) = scope.map_err(|error| projects::unless_hidden(error, not_found))?;
    let row = tx.tenant(scope).apps().get_locked(id).await?.ok_or_else(not_found)?;
    projects::check_own(tx.cx(), row.project_id).map_err(|()| not_found())?;
    Ok((scope, row))
}

fn change(row: &AppRow, kind: ChangeKind) -> Change {
    let change = Change::new(Resource::App, kind, ManagerId::App.show(row.id));
    change.within(row.tenant_id.tenant()).at(row.generation)
}

fn details(row: &AppRow) -> Value {
    let project = ManagerId::Project.show(row.project_id);
    json!({"project_id": project, "name": row.name, "image": row.image, "host": row.host})
}

fn not_found() -> Error {
    Error::not_found(Reason::AppNotFound, "app not found")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_dns_name() {
        for good in ["web.local", "a", "A-1.example.com", "xn--bcher-kva.example"] {
            assert!(is_host_name(good), "{good}");
        }
        for bad in
            ["", ".", "a.", "-a", "a_b", "a b", "a:80", "*.example", "[::1]", "a/b", &"a".repeat(64), &"a.".repeat(127)]
        {
            assert!(!is_host_name(bad), "{bad}");
        }
    }
}
