//! Removing the rows of a deleted tenant, a bounded batch at a time.

use sea_orm::{
    ColumnTrait, DatabaseTransaction, EntityTrait, ExprTrait, IntoSimpleExpr, Iterable, PrimaryKeyToColumn,
    QueryFilter, QuerySelect, QueryTrait, sea_query::Expr,
};

use super::TenantRows;
use crate::{
    base::Result,
    store::entities::{
        account_roles, accounts, api_keys, email_domains, grants, group_members, groups, namespaces, tenants,
    },
};

/// The kinds of rows that a tenant may have any number of. Whatever else it has goes with the tenant itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purged {
    /// Roles beside those that accounts were made with.
    AccountRoles,
    /// Memberships in groups.
    GroupMembers,
    /// Groups.
    Groups,
    /// Accounts, with their sessions and recovery codes.
    Accounts,
    /// API keys.
    ApiKeys,
    /// Grants.
    Grants,
    /// Email domains.
    EmailDomains,
}

impl TenantRows<'_, DatabaseTransaction> {
    /// Removes at most so many rows of a kind, and returns how many there were.
    pub async fn purge(&self, kind: Purged, most: u64) -> Result<u64> {
        match kind {
            Purged::AccountRoles => self.purge_of::<account_roles::Entity>(account_roles::Column::TenantId, most).await,
            Purged::GroupMembers => self.purge_of::<group_members::Entity>(group_members::Column::TenantId, most).await,
            Purged::Groups => self.purge_of::<groups::Entity>(groups::Column::TenantId, most).await,
            Purged::Accounts => self.purge_of::<accounts::Entity>(accounts::Column::TenantId, most).await,
            Purged::ApiKeys => self.purge_of::<api_keys::Entity>(api_keys::Column::TenantId, most).await,
            Purged::Grants => self.purge_of::<grants::Entity>(grants::Column::TenantId, most).await,
            Purged::EmailDomains => self.purge_of::<email_domains::Entity>(email_domains::Column::TenantId, most).await,
        }
    }

    /// Removes at most so many namespaces, and returns their names.
    pub async fn purge_namespaces(&self, most: u64) -> Result<Vec<String>> {
        let names = self.some_namespaces(most).await?;
        let some = namespaces::Entity::delete_many()
            .filter(namespaces::Column::TenantId.eq(self.uuid()))
            .filter(namespaces::Column::Name.is_in(names.iter().map(String::as_str)));
        some.exec(self.conn).await?;
        Ok(names)
    }

    /// Removes the tenant itself, if it was deleted, with its settings and keys. Returns whether it was there.
    pub async fn purge_tenant(&self) -> Result<bool> {
        let deleted = tenants::Entity::delete_many()
            .filter(tenants::Column::Id.eq(self.uuid()))
            .filter(tenants::Column::Status.eq(tenants::DELETED));
        Ok(deleted.exec(self.conn).await?.rows_affected > 0)
    }

    async fn purge_of<E: EntityTrait>(&self, tenant: E::Column, most: u64) -> Result<u64> {
        let key = || Expr::tuple(E::PrimaryKey::iter().map(|key| key.into_column().into_simple_expr()));
        let some = E::find().select_only().filter(tenant.eq(self.uuid())).limit(most);
        let some = E::PrimaryKey::iter().fold(some, |some, key| some.column(key.into_column()));
        let rows = E::delete_many().filter(tenant.eq(self.uuid())).filter(key().in_subquery(some.into_query()));
        Ok(rows.exec(self.conn).await?.rows_affected)
    }
}
