//! `EmailDomainService`: whose addresses a tenant allows.

use tonic::{Request, Response, Status, async_trait};

use crate::{
    api::{answer, take},
    base::{TenantRef, ids::read_dashed},
    identity::domains::{self, EmailDomain},
    proto::controlplane::v1::{
        CreateEmailDomainRequest, CreateEmailDomainResponse, DeleteEmailDomainRequest, DeleteEmailDomainResponse,
        EmailDomain as EmailDomainMessage, ListEmailDomainsRequest, ListEmailDomainsResponse,
        email_domain_service_server::EmailDomainService,
    },
    store::Store,
};

/// The service.
#[derive(Clone, Debug)]
pub struct EmailDomains {
    store: Store,
}

impl EmailDomains {
    /// The service on a store.
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

#[async_trait]
impl EmailDomainService for EmailDomains {
    async fn list_email_domains(
        &self,
        request: Request<ListEmailDomainsRequest>,
    ) -> Result<Response<ListEmailDomainsResponse>, Status> {
        let (cx, message) = take(request)?;
        let found = domains::list(&cx, &self.store, &TenantRef::parse(&message.tenant_id)).await;
        let listed = found.map(|found| found.into_iter().map(shown).collect());
        answer(&cx, listed.map(|email_domains| ListEmailDomainsResponse { email_domains }))
    }

    async fn create_email_domain(
        &self,
        request: Request<CreateEmailDomainRequest>,
    ) -> Result<Response<CreateEmailDomainResponse>, Status> {
        let (cx, message) = take(request)?;
        let (tenant, domain) = (TenantRef::parse(&message.tenant_id), message.domain.unwrap_or_default());
        let added = domains::add(&cx, &self.store, &tenant, &domain).await;
        answer(&cx, added.map(|added| CreateEmailDomainResponse { email_domain: Some(shown(added)) }))
    }

    async fn delete_email_domain(
        &self,
        request: Request<DeleteEmailDomainRequest>,
    ) -> Result<Response<DeleteEmailDomainResponse>, Status> {
        let (cx, message) = take(request)?;
        let (tenant, id) = (TenantRef::parse(&message.tenant_id), read_dashed(&message.domain_id));
        let removed = domains::remove(&cx, &self.store, &tenant, id).await;
        answer(&cx, removed.map(|()| DeleteEmailDomainResponse {}))
    }
}

fn shown(domain: EmailDomain) -> EmailDomainMessage {
    EmailDomainMessage { id: domain.id.to_string(), tenant_id: domain.tenant.dashed(), domain: domain.domain }
}
