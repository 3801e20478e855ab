//! The life cycle of a subscriber: creation, changes, suspension and deletion (zero-trust contract, section 4.10).

use serde_json::{Map, Value, json};

use crate::{
    base::{
        Cx, Error, Kind, Page, PageRequest, Result, Role, TenantName, TenantRef, TenantScope,
        error::Reason,
        names::{NotAName, fold},
    },
    entitlements::{self, Plan},
    identity::{self, Email, NewAccount, accounts, display_name},
    store::{ChangeKind, SessionsOf, Store, Tx, columns::Json, tables::ZeroTrustRow},
    tenants::{self, GRACE, NewTenant, Status, Tenant, TenantChange},
};

/// A tenant with its plan. A tenant of another surface has no limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscriber {
    pub tenant: Tenant,
    pub plan: Plan,
    /// Limits that override those of the plan, by name.
    pub overrides: Map<String, Value>,
}

impl Subscriber {
    fn of(tenant: Tenant, subscription: Option<ZeroTrustRow>) -> Result<Self> {
        let (plan, overrides) = match subscription {
            Some(row) => (row.plan.parse()?, row.overrides.0),
            None => (Plan::default(), Map::new()),
        };
        Ok(Self { tenant, plan, overrides })
    }
}

#[derive(Clone, Debug, Default)]
pub struct NewSubscriber {
    pub slug: String,
    /// Defaults to the slug.
    pub name: Option<String>,
    /// Name of the plan; `unlimited` by default.
    pub plan: Option<String>,
    /// Overrides of the plan's limits.
    pub overrides: Map<String, Value>,
    /// Address of a first administrator, who is invited.
    pub admin_email: Option<String>,
}

/// The subscriber of a call.
#[derive(Clone, Debug)]
pub struct SubscriberRef {
    pub tenant: TenantRef,
    /// The version that the caller read; the call fails for another one.
    pub version: Option<i64>,
}

/// The request for a deletion.
#[derive(Clone, Debug)]
pub struct Deletion {
    /// The slug, as a confirmation.
    pub confirm: String,
    /// Without a grace period, or to end the current one.
    pub purge: bool,
}

/// A page of the tenants that a call may see, oldest first, including those in their grace period: all for the
/// platform, otherwise the caller's own.
pub async fn page(cx: &Cx, store: &Store, request: PageRequest) -> Result<Page<Subscriber>> {
    let found = match &cx.caller.tenant {
        None => tenants::page(cx, store, &Status::ALL, request).await?,
        Some(own) => {
            let (tenant, _) = tenants::resolve_any(cx, store, &TenantRef::Id(own.id)).await?;
            let after = request.after.is_some_and(|after| tenant.id.uuid() <= after);
            Page { items: if after { Vec::new() } else { vec![tenant] }, next: None, total: 1 }
        }
    };
    let scope = |tenant: &Tenant| TenantScope::grant(&cx.access, tenant.id, &tenant.name.key());
    let scopes = found.items.iter().map(scope).collect::<Result<Vec<_>>>()?;
    let mut subscriptions = store.zerotrust_settings(&scopes).await?;
    let of = |tenant: Tenant| {
        let subscription = subscriptions.remove(&tenant.id);
        Subscriber::of(tenant, subscription)
    };
    let items = found.items.into_iter().map(of).collect::<Result<_>>()?;
    Ok(Page { items, next: found.next, total: found.total })
}

/// Creates a tenant. Fails with INVALID_ARGUMENT if a rule is broken, with ALREADY_EXISTS if the slug is taken
/// (ignoring case), with FAILED_PRECONDITION if there are `max` tenants.
pub async fn create(cx: &Cx, store: &Store, new: NewSubscriber, max: Option<u64>) -> Result<Subscriber> {
    let slug = slug(&new.slug)?;
    let name = new.name.as_deref().map(|name| display_name("name", name)).transpose()?.filter(|name| !name.is_empty());
    let display_name = name.unwrap_or_else(|| slug.as_str().to_owned());
    let plan: Plan = new.plan.as_deref().map_or(Ok(Plan::default()), str::parse)?;
    let overrides = entitlements::overrides(new.overrides)?;
    let invalid = |error: Error| Error::invalid(error.reason, "admin_email", error.message);
    let admin = new.admin_email.as_deref().map(Email::read).transpose().map_err(invalid)?;
    let tenant = NewTenant { display_name, ..NewTenant::named(slug) };
    store.write(cx, Draft { tenant, subscription: Subscription { plan, overrides }, admin, max }, insert).await
}

/// A new subscriber after validation.
struct Draft {
    tenant: NewTenant,
    subscription: Subscription,
    admin: Option<Email>,
    max: Option<u64>,
}

/// A plan and the limits that override its own, after validation.
#[derive(Clone, Debug)]
struct Subscription {
    plan: Plan,
    overrides: Map<String, Value>,
}

impl Subscription {
    async fn put(&self, tx: &Tx, scope: TenantScope) -> Result<()> {
        let (plan, overrides) = (self.plan.as_str().to_owned(), Json(self.overrides.clone()));
        tx.tenant(scope).zerotrust().put(ZeroTrustRow { tenant_id: scope.into(), plan, overrides }).await
    }

    fn details(&self) -> Value {
        json!({"plan": self.plan.as_str(), "overrides": self.overrides})
    }

    fn of(self, tenant: Tenant) -> Subscriber {
        Subscriber { tenant, plan: self.plan, overrides: self.overrides }
    }
}

async fn insert(tx: &Tx, Draft { tenant, subscription, admin, max }: &Draft) -> Result<Subscriber> {
    let (tenant, scope) = tenants::insert(tx, tenant, *max).await?;
    subscription.put(tx, scope).await?;
    tenants::record(tx, ChangeKind::Created, &tenant, subscription.details());
    if let Some(email) = admin {
        accounts::insert(tx, &first_admin(scope, email.clone()), String::new()).await?;
    }
    Ok(subscription.clone().of(tenant))
}

/// An invited administrator, whose name is derived from the id.
fn first_admin(scope: TenantScope, email: Email) -> NewAccount {
    NewAccount {
        tenant: Some(scope),
        username: String::new(),
        named_id: false,
        email: Some(email),
        display_name: String::new(),
        password: None,
        role: Role::Admin,
    }
}

/// Changes the slug and the name of a tenant. Fails like [`create`], with NOT_FOUND if there is no such tenant, with
/// ABORTED if it has another version.
pub async fn update(
    cx: &Cx,
    store: &Store,
    of: &SubscriberRef,
    new_slug: Option<String>,
    new_name: Option<String>,
) -> Result<Subscriber> {
    tenants::refuse_suspended(cx)?;
    let display_name = new_name.as_deref().map(|name| display_name("name", name)).transpose()?;
    if display_name.as_deref().is_some_and(str::is_empty) {
        return Err(Error::invalid(Reason::InvalidArgument, "name", "a name must have at least 1 character"));
    }
    store.write(cx, (of.clone(), new_slug, display_name), change_names).await
}

async fn change_names(
    tx: &Tx,
    (of, new_slug, display_name): &(SubscriberRef, Option<String>, Option<String>),
) -> Result<Subscriber> {
    let (before, scope) = locked(tx, of).await?;
    // The slug of a tenant from another surface may break the rules of this one.
    let renamed = new_slug.as_deref().filter(|text| *text != before.name.as_str());
    let mut tenant = match renamed.map(slug).transpose()? {
        Some(slug) => tenants::rename(tx, &before, scope, slug).await?,
        None => before.clone(),
    };
    if let Some(display_name) = display_name.clone().filter(|name| *name != before.display_name) {
        let change = TenantChange { display_name: Some(display_name), ..TenantChange::default() };
        tenant = tenants::update(tx, scope, None, &change).await?;
    }
    let told = |tenant: &Tenant| json!({"slug": tenant.name.as_str(), "name": tenant.display_name});
    tenants::record_update(tx, &before, &tenant, json!({"before": told(&before), "after": told(&tenant)}));
    view(tx, scope, tenant).await
}

/// Sets the plan of a tenant and the overrides of its limits. Fails like [`update`].
pub async fn set_plan(
    cx: &Cx,
    store: &Store,
    of: &SubscriberRef,
    word: &str,
    overrides: Map<String, Value>,
) -> Result<Subscriber> {
    tenants::refuse_suspended(cx)?;
    let plan: Plan = word.parse()?;
    let subscription = Subscription { plan, overrides: entitlements::overrides(overrides)? };
    store.write(cx, (of.clone(), subscription), put_plan).await
}

async fn put_plan(tx: &Tx, (of, subscription): &(SubscriberRef, Subscription)) -> Result<Subscriber> {
    let (tenant, scope) = locked(tx, of).await?;
    let before = view(tx, scope, tenant).await?;
    subscription.put(tx, scope).await?;
    let tenant = tenants::update(tx, scope, None, &TenantChange::default()).await?;
    let before = json!({"plan": before.plan.as_str(), "overrides": before.overrides});
    tenants::record(tx, ChangeKind::Updated, &tenant, json!({"before": before, "after": subscription.details()}));
    Ok(subscription.clone().of(tenant))
}

/// Suspends a tenant. A suspension by the platform ends the sessions of its users; after one by the tenant itself its
/// administrators can still lift it. Fails with NOT_FOUND if there is no such tenant, with ABORTED if it has another
/// version.
pub async fn suspend(cx: &Cx, store: &Store, of: &SubscriberRef, reason: Option<String>) -> Result<Subscriber> {
    tenants::refuse_suspended(cx)?;
    store.write(cx, (of.clone(), identity::reason(reason)?), put_suspension).await
}

async fn put_suspension(tx: &Tx, (of, reason): &(SubscriberRef, Option<String>)) -> Result<Subscriber> {
    let (before, scope) = locked(tx, of).await?;
    let tenant = tenants::suspend(tx, &before, scope).await?;
    tenants::record_update(tx, &before, &tenant, json!({"reason": reason, "before": before.status.as_str()}));
    view(tx, scope, tenant).await
}

/// Lifts the suspension of a tenant; for the platform, also undoes a deletion within its grace period. Any other tenant
/// stays as it is. Fails like [`suspend`], and with PERMISSION_DENIED for a suspension by the platform.
pub async fn reactivate(cx: &Cx, store: &Store, of: &SubscriberRef, reason: Option<String>) -> Result<Subscriber> {
    store.write(cx, (of.clone(), identity::reason(reason)?), lift).await
}

async fn lift(tx: &Tx, (of, reason): &(SubscriberRef, Option<String>)) -> Result<Subscriber> {
    let (before, scope) = locked_any(tx, of).await?;
    let tenant = match before.status {
        Status::Deprovisioning if tx.cx().caller.is_platform() => tenants::restore(tx, &before, scope).await?,
        Status::Deprovisioning => return Err(tenants::not_found()),
        _ => tenants::unsuspend(tx, &before, scope).await?,
    };
    tenants::record_update(tx, &before, &tenant, json!({"reason": reason, "before": before.status.as_str()}));
    view(tx, scope, tenant).await
}

/// Deletes a tenant with a grace period, or immediately, and ends the sessions of its users. Fails like [`suspend`],
/// with INVALID_ARGUMENT if the slug is not confirmed, with FAILED_PRECONDITION if something still depends on it.
pub async fn delete(
    cx: &Cx,
    store: &Store,
    of: &SubscriberRef,
    deletion: Deletion,
    reason: Option<String>,
) -> Result<Subscriber> {
    tenants::refuse_suspended(cx)?;
    store.write(cx, (of.clone(), deletion, identity::reason(reason)?), remove).await
}

async fn remove(tx: &Tx, (of, deletion, reason): &(SubscriberRef, Deletion, Option<String>)) -> Result<Subscriber> {
    let (before, scope) = locked_any(tx, of).await?;
    if fold(&deletion.confirm) != before.name.key() {
        let message = "must be the slug of the tenant";
        return Err(Error::invalid(Reason::ConfirmationWrong, "confirm_slug", message));
    }
    let details = json!({"reason": reason, "purge": deletion.purge, "before": before.status.as_str()});
    if deletion.purge {
        let gone = view(tx, scope, before.clone()).await?;
        tenants::delete(tx, &before, scope).await?;
        tenants::record(tx, ChangeKind::Deleted, &before, details);
        return Ok(gone);
    }
    let tenant = tenants::deprovision(tx, &before, scope, GRACE).await?;
    tenants::record_update(tx, &before, &tenant, details);
    tx.end_sessions(SessionsOf::Tenant(scope)).await?;
    view(tx, scope, tenant).await
}

/// The tenant of a call, locked until the write ends.
async fn locked(tx: &Tx, of: &SubscriberRef) -> Result<(Tenant, TenantScope)> {
    checked(of, tenants::resolve_locked(tx, &of.tenant).await?)
}

/// Like [`locked`], but also finds a tenant in its grace period.
async fn locked_any(tx: &Tx, of: &SubscriberRef) -> Result<(Tenant, TenantScope)> {
    checked(of, tenants::resolve_any_locked(tx, &of.tenant).await?)
}

fn checked(of: &SubscriberRef, found: (Tenant, TenantScope)) -> Result<(Tenant, TenantScope)> {
    if of.version.is_some_and(|version| version != found.0.version) {
        let message = "the tenant was changed in the meantime; read it again";
        return Err(Error::new(Kind::Aborted, Reason::VersionStale, message));
    }
    Ok(found)
}

async fn view(tx: &Tx, scope: TenantScope, tenant: Tenant) -> Result<Subscriber> {
    Subscriber::of(tenant, tx.tenant(scope).zerotrust().get().await?)
}

/// The slug of a new tenant: stricter than the registry's names.
fn slug(text: &str) -> Result<TenantName> {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let message = "a slug must have 3 to 40 lower-case letters, digits and dashes, and must not start with a dash";
    let invalid = || Error::invalid(Reason::TenantNameInvalid, "slug", message);
    if !(3..=40).contains(&text.len()) || !text.bytes().all(good) {
        return Err(invalid());
    }
    TenantName::plain(text).map_err(|why: NotAName| invalid().caused_by(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_stricter_than_names() {
        for good in ["abc", "a-1", "0day", &"x".repeat(40)] {
            assert!(slug(good).is_ok(), "{good}");
        }
        for bad in ["", "ab", "Abc", "a_b", "a.b", "-ab", "t-0191f3a47c107b2e9d315a6b7c8d9e0f", &"x".repeat(41)] {
            assert_eq!(slug(bad).unwrap_err().violations[0].field, "slug", "{bad}");
        }
    }
}
