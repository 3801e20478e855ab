//! Lookups for authentication and the guard: tenants of credentials, API keys, and custom checks.

use std::sync::Arc;

use async_trait::async_trait;
use time::Duration;
use uuid::Uuid;

use super::{
    authn::{
        api_keys::FindKey,
        enrolled::{Enrolled, FindEnrolled, Standing},
        principal::FindPrincipal,
        tenant_lookup::Tenants,
    },
    authz::guard::{Custom, Guard},
};
use crate::{
    base::{
        Basis, Caller, CallerKind, ManagerId, Result, TenantId, TenantRef,
        caller::{CallerFacts, CallerTenant},
    },
    controlplane::licensing::MultitenancySettings,
    identity::{ApiKey, accounts::principals, api_keys},
    messaging,
    store::{
        Store,
        tables::{self, Holder},
    },
    tenants,
};

/// By how many seconds the clock of an issuer may be ahead. A credential from the time before a name was released bears at
/// most the time of its release and this.
const ISSUER_AHEAD: i64 = 600;

#[async_trait]
impl Tenants for Store {
    async fn find(&self, tenant: &TenantRef) -> Result<Option<CallerTenant>> {
        let found = tenants::find(self, tenant).await?.filter(|tenant| tenant.status.is_present());
        let Some(found) = found else { return Ok(None) };
        let named_since = match tenant {
            TenantRef::Id(_) => None,
            TenantRef::Name(key) | TenantRef::Either(_, key) => {
                let released = tenants::released_at(self, key).await?;
                Some(released.map_or(0, |at| at.unix_timestamp() + ISSUER_AHEAD + 1))
            }
        };
        Ok(Some(CallerTenant { id: found.id, key: found.name.key(), suspended: !found.status.admits(), named_since }))
    }

    async fn find_of_project(&self, project: &str) -> Result<Option<CallerTenant>> {
        let Some(id) = ManagerId::Project.read(project) else { return Ok(None) };
        match tables::owner_of_project(self.read(), id).await? {
            Some(tenant) => self.find(&TenantRef::Id(tenant)).await,
            None => Ok(None),
        }
    }
}

#[async_trait]
impl FindKey for Store {
    async fn find_key(&self, digest: &str) -> Result<Option<ApiKey>> {
        api_keys::find(self, digest).await
    }
}

#[async_trait]
impl FindEnrolled for Store {
    async fn find_enrolled(&self, tenant: TenantId, credential: Uuid, grace: Duration) -> Result<Option<Enrolled>> {
        let Some(holder) = self.enrolled(tenant, credential, grace).await? else { return Ok(None) };
        let Some(tenant) = self.find(&TenantRef::Id(tenant)).await? else { return Ok(None) };
        let Holder { kind, id, thumbprint, standing } = holder;
        let standing = match standing {
            tables::Standing::Active => Standing::Active,
            tables::Standing::Pending => Standing::Pending,
            tables::Standing::Suspended => Standing::Suspended,
        };
        Ok(Some(Enrolled { kind, id, thumbprint, tenant, standing }))
    }
}

#[async_trait]
impl FindPrincipal for Store {
    async fn find_principal(&self, subject: &str) -> Result<Option<Caller>> {
        let Some(named) = principals::find(self, subject).await? else { return Ok(None) };
        let (account, tenant) = (named.account, named.tenant);
        let tenant = tenant.map(|tenant| CallerTenant {
            id: tenant.id,
            key: tenant.name.key(),
            suspended: !tenant.status.admits(),
            named_since: None,
        });
        Ok(Some(Caller::new(CallerFacts {
            kind: CallerKind::User,
            subject: subject.to_owned(),
            role: account.role,
            also: named.also,
            account: Some(account.id),
            basis: Basis::Account { id: account.id, epoch: account.epoch },
            tenant,
            ..CallerFacts::default()
        })))
    }
}

/// `messaging_admin_roles`: a caller whose subject is one of a tenant's admin roles may administer its
/// namespaces, whatever its own role (messaging contract, decisions).
struct MessagingAdminRoles(Store);

#[async_trait]
impl Custom for MessagingAdminRoles {
    async fn admits(&self, caller: &Caller, tenant: &TenantRef) -> Result<Option<TenantId>> {
        messaging::administered(&self.0, tenant, &caller.subject).await
    }
}

/// `self_service_provisioning`: admits no further callers. If self-service provisioning is disabled, every caller learns that, and not
/// whether its role would suffice (control-plane contract, section 3.4).
struct SelfServiceProvisioning(MultitenancySettings);

#[async_trait]
impl Custom for SelfServiceProvisioning {
    async fn admits(&self, _: &Caller, _: &TenantRef) -> Result<Option<TenantId>> {
        self.0.require_self_service().map(|()| None)
    }
}

impl Guard {
    /// Adds the custom checks of all surfaces, under their names in the proto options.
    pub fn with_checks_of(self, store: &Store, multitenancy: MultitenancySettings) -> Self {
        self.with_custom("messaging_admin_roles", Arc::new(MessagingAdminRoles(store.clone())))
            .with_custom("self_service_provisioning", Arc::new(SelfServiceProvisioning(multitenancy)))
    }
}
