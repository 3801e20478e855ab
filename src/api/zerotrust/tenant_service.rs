//! `TenantService`: tenants and their subscriptions.

use super::response::to_tenant;
use crate::{
    api::{
        Deps,
        handlers::zerotrust::v1::tenant_service::{ChangeTenantAction, TenantService},
        paging,
        structs::from_struct,
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
                tenants::create(cx, store, new_subscriber(message), self.deps.settings.max_tenants).await
            }
            Update => tenants::update(cx, store, &subscriber_ref(cx, &message)?, message.slug, message.name).await,
            Suspend => tenants::suspend(cx, store, &subscriber_ref(cx, &message)?, message.reason).await,
            Reactivate => tenants::reactivate(cx, store, &subscriber_ref(cx, &message)?, message.reason).await,
            SetPlan => {
                let of = subscriber_ref(cx, &message)?;
                let overrides = message.overrides.map(from_struct).unwrap_or_default();
                tenants::set_plan(cx, store, &of, &message.plan.unwrap_or_default(), overrides).await
            }
            Delete => {
                let of = subscriber_ref(cx, &message)?;
                let deletion = Deletion { confirm: message.confirm_slug.unwrap_or_default(), purge: message.purge };
                tenants::delete(cx, store, &of, deletion, message.reason).await
            }
        }
    }
}

impl TenantService for Tenants {
    async fn list_tenants(&self, cx: &Cx, message: ListTenantsRequest) -> Result<ListTenantsResponse> {
        let request = paging::request(cx, &message)?;
        let page = tenants::page(cx, &self.deps.store, request).await?;
        Ok(paging::response(page, to_tenant))
    }

    async fn change_tenant(
        &self,
        cx: &Cx,
        action: ChangeTenantAction,
        message: ChangeTenantRequest,
    ) -> Result<ChangeTenantResponse> {
        let subscriber = self.act(cx, action, message).await?;
        let answer = Some(TenantAnswer { tenant: Some(to_tenant(subscriber)) });
        Ok(ChangeTenantResponse { answer, created: action == ChangeTenantAction::Create })
    }
}

fn new_subscriber(message: ChangeTenantRequest) -> NewSubscriber {
    NewSubscriber {
        slug: message.slug.unwrap_or_default(),
        name: message.name,
        plan: message.plan,
        overrides: message.overrides.map(from_struct).unwrap_or_default(),
        admin_email: message.admin_email,
    }
}

/// The tenant of the call, in the version that the caller read.
fn subscriber_ref(cx: &Cx, message: &ChangeTenantRequest) -> Result<SubscriberRef> {
    Ok(SubscriberRef { tenant: cx.tenant()?.clone(), version: message.if_version })
}
