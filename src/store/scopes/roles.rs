//! Roles that the accounts of a tenant were granted beside their own.

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use time::OffsetDateTime;
use uuid::Uuid;

use super::TenantRows;
use crate::{
    base::{Result, RoleSet},
    store::{Stamp, entities::account_roles},
};

/// The scope of a role that holds in the whole tenant.
pub const TENANT_WIDE: &str = "tenant";

impl<C: ConnectionTrait> TenantRows<'_, C> {
    /// The roles that hold for an account in the whole tenant at a moment, and when the first of them ends.
    pub async fn standing_roles(&self, account: Uuid, now: Stamp) -> Result<(RoleSet, Option<OffsetDateTime>)> {
        let rows = account_roles::Entity::find()
            .filter(account_roles::Column::TenantId.eq(self.uuid()))
            .filter(account_roles::Column::AccountId.eq(account))
            .filter(account_roles::Column::ScopeType.eq(TENANT_WIDE))
            .all(self.conn)
            .await?;
        let standing = || rows.iter().filter(|row| row.expires_at.is_none_or(|end| end > now));
        let roles = standing().filter_map(|row| row.role.parse().ok()).collect();
        let end = standing().filter_map(|row| row.expires_at).min().map(Stamp::time);
        Ok((roles, end))
    }
}
