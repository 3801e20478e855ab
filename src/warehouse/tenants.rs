//! The tenants of the warehouse surface: those of the registry, with the identity provider of their users.

use serde_json::{Value, json};

use super::{
    Warehouse,
    providers::{self, Config, Provider},
    rules,
};
use crate::{
    base::{
        Access, Cx, Error, Result, TenantId, TenantRef, TenantScope, Worded, error::Reason, scope::foreign_tenant,
        words::quoted,
    },
    store::{ChangeKind, Pages, Store, Tx, columns::Json, tables::WarehouseRow},
    tenants::{self, NewTenant, Order, Status, Tenant, TenantChange},
};

/// A tenant of this surface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantView {
    pub id: TenantId,
    pub name: String,
    pub display_name: String,
    pub disabled: bool,
    pub provider: Provider,
    /// The provider's configuration, without secrets.
    pub config: Config,
}

/// A request for a tenant.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The name may be here or in `id`.
    pub name: Option<String>,
    /// The member for the name in newer clients.
    pub id: Option<String>,
    pub display_name: Option<String>,
    pub provider: Option<String>,
    pub config: Config,
}

/// Creates a tenant. Checks, in this order: the name, the provider, its configuration, the limit, and that no tenant
/// has the name (ignoring case).
pub async fn create(cx: &Cx, area: &Warehouse, wanted: Wanted) -> Result<TenantView> {
    let name = rules::tenant_name(wanted.name.as_deref(), wanted.id.as_deref())?;
    let display_name = rules::display_name(wanted.display_name.as_deref(), &name)?;
    let login = login(area, wanted.provider.as_deref(), wanted.config).await?;
    let taken = format!("tenant already exists: {name}");
    let new = NewTenant { display_name, ..NewTenant::named(name) };
    area.store.write(cx, (new, login, area.max_tenants), insert).await.worded(Reason::TenantExists, taken)
}

async fn insert(tx: &Tx, (new, login, max): &(NewTenant, LoginSettings, Option<u64>)) -> Result<TenantView> {
    let (tenant, scope) = tenants::insert(tx, new, *max).await?;
    put_login(tx, scope, login).await?;
    tenants::record(tx, ChangeKind::Created, &tenant, json!({"auth_provider": login.provider.as_str()}));
    Ok(view(tenant, login.clone()))
}

/// The tenants that the caller administers, sorted by name.
pub async fn list(cx: &Cx, store: &Store) -> Result<Pages<TenantView>> {
    match &cx.access {
        Access::Platform => {
            let tenants = tenants::list(cx, store, Order::ByDisplayName, &Status::PRESENT).await?;
            let (cx, store) = (cx.clone(), store.clone());
            tenants.then(move |page| views(cx.clone(), store.clone(), page)).await
        }
        Access::Tenant(own) => {
            let (tenant, scope) = tenants::resolve(cx, store, own).await?;
            let row = store.tenant(scope).warehouse().get().await?;
            Ok(Pages::whole(vec![view(tenant, LoginSettings::read(row)?)]))
        }
        Access::None => Err(foreign_tenant()),
    }
}

/// Tenants with their settings.
async fn views(cx: Cx, store: Store, tenants: Vec<Tenant>) -> Result<Vec<TenantView>> {
    let mut rows = store.warehouse_settings(&cx.access, tenants.iter().map(|tenant| tenant.id)).await?;
    let view = |tenant: Tenant| {
        let login = LoginSettings::read(rows.remove(&tenant.id))?;
        Ok(view(tenant, login))
    };
    tenants.into_iter().map(view).collect()
}

/// Suspends a tenant, or lifts the suspension. Does nothing if it already has that state.
pub async fn set_disabled(cx: &Cx, store: &Store, named: &str, disabled: bool) -> Result<TenantView> {
    let tenant = TenantRef::parse(named);
    store.write(cx, (tenant, disabled), put_disabled).await.worded(Reason::TenantNotFound, missing(named))
}

async fn put_disabled(tx: &Tx, (tenant, disabled): &(TenantRef, bool)) -> Result<TenantView> {
    let (before, scope) = tenants::resolve_locked(tx, tenant).await?;
    let after = match disabled {
        true => {
            tenants::refuse_suspended(tx.cx())?;
            tenants::suspend(tx, &before, scope).await?
        }
        false => tenants::unsuspend(tx, &before, scope).await?,
    };
    tenants::record_update(tx, &before, &after, json!({"disabled": disabled}));
    shown(tx, after, scope).await
}

/// Replaces the provider of a tenant and its configuration. Checks both before it looks up the tenant.
pub async fn set_auth(cx: &Cx, area: &Warehouse, named: &str, provider: &str, config: Config) -> Result<TenantView> {
    let login = login(area, Some(provider), config).await?;
    let tenant = TenantRef::parse(named);
    area.store.write(cx, (tenant, login), put_auth).await.worded(Reason::TenantNotFound, missing(named))
}

async fn put_auth(tx: &Tx, (tenant, login): &(TenantRef, LoginSettings)) -> Result<TenantView> {
    let (_, scope) = tenants::resolve_locked(tx, tenant).await?;
    let tenant = tenants::update(tx, scope, None, &TenantChange::default()).await?;
    put_login(tx, scope, login).await?;
    tenants::record(tx, ChangeKind::Updated, &tenant, json!({"auth_provider": login.provider.as_str()}));
    Ok(view(tenant, login.clone()))
}

/// Deletes a tenant, unless something still depends on it.
pub async fn delete(cx: &Cx, store: &Store, named: &str) -> Result<()> {
    store.write(cx, TenantRef::parse(named), remove).await.worded(Reason::TenantNotFound, missing(named))
}

async fn remove(tx: &Tx, tenant: &TenantRef) -> Result<()> {
    let (tenant, scope) = tenants::resolve_locked(tx, tenant).await?;
    tenants::delete(tx, &tenant, scope).await?;
    tenants::record(tx, ChangeKind::Deleted, &tenant, Value::Null);
    Ok(())
}

fn missing(named: &str) -> String {
    format!("tenant not found: {}", quoted(named))
}

/// How the users of a tenant log in. A tenant of another surface uses our own accounts.
#[derive(Clone, Debug, Default)]
struct LoginSettings {
    provider: Provider,
    /// The provider's configuration; secrets are sealed.
    config: Config,
}

impl LoginSettings {
    fn read(row: Option<WarehouseRow>) -> Result<Self> {
        let Some(row) = row else { return Ok(Self::default()) };
        Ok(Self { provider: row.auth_provider.parse().map_err(Error::internal)?, config: row.auth_config.0 })
    }
}

async fn put_login(tx: &Tx, scope: TenantScope, login: &LoginSettings) -> Result<()> {
    let auth_provider = login.provider.as_str().to_owned();
    let auth_config = Json(login.config.clone());
    tx.tenant(scope).warehouse().put(WarehouseRow { tenant_id: scope.into(), auth_provider, auth_config }).await
}

/// The settings of a request, with its secrets sealed by the platform's key: a new tenant does not have one yet.
async fn login(area: &Warehouse, provider: Option<&str>, config: Config) -> Result<LoginSettings> {
    let provider: Provider = provider.map(str::parse).transpose()?.unwrap_or_default();
    provider.check(&config)?;
    let mut sealed = Config::new();
    for (key, value) in config {
        let value = match providers::is_secret(&key, &value) {
            true => area.sealer.seal(None, &secret_purpose(&key), value.as_bytes()).await?,
            false => value,
        };
        sealed.insert(key, value);
    }
    Ok(LoginSettings { provider, config: sealed })
}

/// The purpose of a sealed value in a provider's configuration: it cannot be moved to another key.
pub fn secret_purpose(key: &str) -> String {
    format!("warehouse.auth_config:{key}")
}

async fn shown(tx: &Tx, tenant: Tenant, scope: TenantScope) -> Result<TenantView> {
    Ok(view(tenant, LoginSettings::read(tx.tenant(scope).warehouse().get().await?)?))
}

fn view(tenant: Tenant, login: LoginSettings) -> TenantView {
    TenantView {
        id: tenant.id,
        name: tenant.name.as_str().to_owned(),
        display_name: tenant.display_name,
        disabled: tenant.status == Status::Suspended,
        provider: login.provider,
        config: providers::masked(login.config),
    }
}
