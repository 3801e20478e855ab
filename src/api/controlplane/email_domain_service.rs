//! `EmailDomainService`: the allowed email domains of tenants.

use crate::{
    api::{Deps, handlers::controlplane::v1::email_domain_service::EmailDomainService},
    base::{Cx, Result, ids::read_dashed},
    identity::grants::email_domains::{self, EmailDomain},
    proto::controlplane::v1::{
        CreateEmailDomainRequest, CreateEmailDomainResponse, DeleteEmailDomainRequest, DeleteEmailDomainResponse,
        EmailDomain as EmailDomainMessage, ListEmailDomainsRequest, ListEmailDomainsResponse,
    },
};

pub struct EmailDomains {
    pub(super) deps: Deps,
}

impl EmailDomainService for EmailDomains {
    async fn list_email_domains(&self, cx: &Cx, _: ListEmailDomainsRequest) -> Result<ListEmailDomainsResponse> {
        let found = email_domains::list(cx, &self.deps.store, cx.tenant()?).await?;
        Ok(ListEmailDomainsResponse { email_domains: found.into_iter().map(to_proto).collect() })
    }

    async fn create_email_domain(
        &self,
        cx: &Cx,
        message: CreateEmailDomainRequest,
    ) -> Result<CreateEmailDomainResponse> {
        let added = email_domains::add(cx, &self.deps.store, cx.tenant()?, message.domain()).await?;
        Ok(CreateEmailDomainResponse { email_domain: Some(to_proto(added)) })
    }

    async fn delete_email_domain(
        &self,
        cx: &Cx,
        message: DeleteEmailDomainRequest,
    ) -> Result<DeleteEmailDomainResponse> {
        email_domains::remove(cx, &self.deps.store, cx.tenant()?, read_dashed(&message.domain_id)).await?;
        Ok(DeleteEmailDomainResponse {})
    }
}

fn to_proto(domain: EmailDomain) -> EmailDomainMessage {
    EmailDomainMessage { id: domain.id.to_string(), tenant_id: domain.tenant.dashed(), domain: domain.domain }
}
