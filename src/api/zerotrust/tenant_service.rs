//! `TenantService`: tenants and their subscriptions.

use super::{given, shown};
use crate::{
    api::{Deps, handlers::zerotrust::v1::tenant_service::TenantService},
    base::{Cx, PageRequest, Result},
    proto::zerotrust::v1::{
        ChangeTenantRequest, ChangeTenantResponse, ListTenantsRequest, ListTenantsResponse, TenantAnswer,
    },
    tenants::refuse_suspended,
    zerotrust::tenants::{self, Deletion, NewSubscriber, Subscriber, SubscriberRef},
};

pub struct Tenants {
    pub(super) deps: Deps,
}

impl Tenants {
    async fn act(&self, cx: &Cx, action: &str, message: ChangeTenantRequest) -> Result<Subscriber> {
        let store = &self.deps.store;
        if action == "create" {
            refuse_suspended(cx)?;
            return tenants::create(cx, store, new(message)?, self.deps.settings.max_tenants).await;
        }
        let of = named(cx, &message)?;
        match action {
            "update" => tenants::update(cx, store, &of, message.slug, message.name).await,
            "suspend" => tenants::suspend(cx, store, &of, message.reason).await,
            "reactivate" => tenants::reactivate(cx, store, &of, message.reason).await,
            "set_plan" => {
                let plan = given::required("plan", message.plan)?;
                let overrides = message.overrides.map(shown::map).unwrap_or_default();
                tenants::set_plan(cx, store, &of, &plan, overrides).await
            }
            // The guard admits no other action.
            _ => {
                let confirm = given::required("confirm_slug", message.confirm_slug)?;
                let deletion = Deletion { confirm, purge: message.purge };
                tenants::delete(cx, store, &of, deletion, message.reason).await
            }
        }
    }
}

impl TenantService for Tenants {
    async fn list_tenants(&self, cx: &Cx, message: ListTenantsRequest) -> Result<ListTenantsResponse> {
        let request = PageRequest::of("tenants", message.limit.map(i64::from), message.cursor.as_deref())?;
        let page = tenants::page(cx, &self.deps.store, request).await?;
        Ok(ListTenantsResponse {
            tenants: page.items.into_iter().map(shown::tenant).collect(),
            next_cursor: page.next,
            total: page.total.cast_signed(),
        })
    }

    async fn change_tenant(&self, cx: &Cx, message: ChangeTenantRequest) -> Result<ChangeTenantResponse> {
        let action = message.action.clone().unwrap_or_default();
        given::only(&action, &fields(&message), takes(&action))?;
        let subscriber = self.act(cx, &action, message).await?;
        let answer = Some(TenantAnswer { tenant: Some(shown::tenant(subscriber)) });
        Ok(ChangeTenantResponse { answer, created: action == "create" })
    }
}

/// The fields of an action.
fn takes(action: &str) -> &'static [&'static str] {
    match action {
        "create" => &["name", "slug", "plan", "overrides", "admin_email"],
        "update" => &["tenant_id", "name", "slug", "if_version"],
        "set_plan" => &["tenant_id", "plan", "overrides", "if_version"],
        "delete" => &["tenant_id", "confirm_slug", "purge", "reason", "if_version"],
        _ => &["tenant_id", "reason", "if_version"],
    }
}

fn fields(message: &ChangeTenantRequest) -> [(&'static str, bool); 10] {
    [
        ("tenant_id", message.tenant_id.is_some()),
        ("name", message.name.is_some()),
        ("slug", message.slug.is_some()),
        ("plan", message.plan.is_some()),
        ("overrides", message.overrides.is_some()),
        ("admin_email", message.admin_email.is_some()),
        ("confirm_slug", message.confirm_slug.is_some()),
        ("purge", message.purge),
        ("reason", message.reason.is_some()),
        ("if_version", message.if_version.is_some()),
    ]
}

fn new(message: ChangeTenantRequest) -> Result<NewSubscriber> {
    Ok(NewSubscriber {
        slug: given::required("slug", message.slug)?,
        name: message.name,
        plan: message.plan,
        overrides: message.overrides.map(shown::map).unwrap_or_default(),
        admin_email: message.admin_email,
    })
}

/// The tenant that a request names.
fn named(cx: &Cx, message: &ChangeTenantRequest) -> Result<SubscriberRef> {
    Ok(SubscriberRef { tenant: given::tenant(cx, message.tenant_id.as_deref())?, version: message.if_version })
}
