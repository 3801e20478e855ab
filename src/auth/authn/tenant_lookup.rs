//! The tenants of credentials, as authentication looks them up.

use async_trait::async_trait;

use crate::base::{Result, TenantRef, caller::CallerTenant};

/// Looks up the tenants of credentials. Implemented by the tenant registry, and by a fake in tests.
#[async_trait]
pub trait Tenants: Send + Sync + 'static {
    /// The tenant; `None` if it does not exist or is being deleted.
    async fn find(&self, tenant: &TenantRef) -> Result<Option<CallerTenant>>;

    /// The tenant of a project; `None` if the project does not exist, or as above.
    async fn find_of_project(&self, _project: &str) -> Result<Option<CallerTenant>> {
        Ok(None)
    }
}
