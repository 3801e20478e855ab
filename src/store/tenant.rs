//! Access to the rows of a tenant.

use super::{Reads, Store, Tx, TxConn, tables::TenantRows};
use crate::base::TenantScope;

impl Store {
    /// The rows of a tenant, for reads.
    pub fn tenant(&self, scope: TenantScope) -> TenantRows<'_, Reads> {
        TenantRows::new(self.read(), scope)
    }
}

impl Tx {
    /// The rows of a tenant, for reads and writes.
    pub fn tenant(&self, scope: TenantScope) -> TenantRows<'_, TxConn> {
        TenantRows::new(self.conn(), scope)
    }
}
