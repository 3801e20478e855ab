//! The tenant that a row belongs to.

use super::uuid::uuid_column;
use crate::base::{TenantId, TenantScope};

/// The tenant of a row in a table with rows of tenants. Outside the store it is made only from a scope, so nobody can
/// make a row for a tenant that the call may not access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner(TenantId);

impl Owner {
    pub fn tenant(self) -> TenantId {
        self.0
    }

    /// The tenant of rows that are kept after the tenant is gone. For the program's own work.
    pub(in crate::store) fn of_gone(tenant: TenantId) -> Self {
        Self(tenant)
    }

    fn stored(id: uuid::Uuid) -> Self {
        Self(TenantId::from_uuid(id))
    }

    fn uuid(self) -> uuid::Uuid {
        self.0.uuid()
    }
}

impl From<TenantScope> for Owner {
    fn from(scope: TenantScope) -> Self {
        Self(scope.tenant())
    }
}

uuid_column!(Owner, Owner::stored, Owner::uuid);
