//! `TenantService`: tenants and their subscriptions.

use super::{given, shown};
use crate::{
    api::{
        Deps,
        handlers::zerotrust::v1::tenant_service::{ChangeTenantAction, TenantService},
        paging,
    },
    base::{Cx, Result},
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
    async fn act(&self, cx: &Cx, action: ChangeTenantAction, message: ChangeTenantRequest) -> Result<Subscriber> {
        use ChangeTenantAction::{Create, Delete, Reactivate, SetPlan, Suspend, Update};
        let store = &self.deps.store;
        match action {
            Create => {
                refuse_suspended(cx)?;
                tenants::create(cx, store, new(message)?, self.deps.settings.max_tenants).await
            }
            Update => tenants::update(cx, store, &named(cx, &message)?, message.slug, message.name).await,
            Suspend => tenants::suspend(cx, store, &named(cx, &message)?, message.reason).await,
            Reactivate => tenants::reactivate(cx, store, &named(cx, &message)?, message.reason).await,
            SetPlan => {
                let of = named(cx, &message)?;
                let plan = given::required("plan", message.plan)?;
                let overrides = message.overrides.map(shown::map).unwrap_or_default();
                tenants::set_plan(cx, store, &of, &plan, overrides).await
            }
            Delete => {
                let of = named(cx, &message)?;
                let confirm = given::required("confirm_slug", message.confirm_slug)?;
                let deletion = Deletion { confirm, purge: message.purge };
                tenants::delete(cx, store, &of, deletion, message.reason).await
            }
        }
    }
}

impl TenantService for Tenants {
    async fn list_tenants(&self, cx: &Cx, message: ListTenantsRequest) -> Result<ListTenantsResponse> {
        let request = paging::request(&message)?;
        let page = tenants::page(cx, &self.deps.store, request).await?;
        Ok(paging::response(page, shown::tenant))
    }

    async fn change_tenant(
        &self,
        cx: &Cx,
        action: ChangeTenantAction,
        message: ChangeTenantRequest,
    ) -> Result<ChangeTenantResponse> {
        let subscriber = self.act(cx, action, message).await?;
        let answer = Some(TenantAnswer { tenant: Some(shown::tenant(subscriber)) });
        Ok(ChangeTenantResponse { answer, created: action == ChangeTenantAction::Create })
    }
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
