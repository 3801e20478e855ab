//! Access to the rows of a tenant.

use sea_orm::{DatabaseConnection, DatabaseTransaction};

use super::{Store, Tx, tables::TenantRows};
use crate::base::TenantScope;

impl Store {
    /// The rows of a tenant, for reads.
    pub fn tenant(&self, scope: TenantScope) -> TenantRows<'_, DatabaseConnection> {
        TenantRows::new(self.read(), scope)
    }
}

impl Tx {
    /// The rows of a tenant, for reads and writes.
    pub fn tenant(&self, scope: TenantScope) -> TenantRows<'_, DatabaseTransaction> {
        TenantRows::new(self.conn(), scope)
    }
}
