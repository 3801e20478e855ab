//! Granted roles of the accounts of tenants, in addition to their own.

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, Select,
    sea_query::{OnConflict, SelectStatement},
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::TenantRows;
use crate::{
    base::{IdKind, Result, Role, RoleSet},
    store::{
        Stamp,
        entities::account_roles::{Column, Entity, Model},
    },
};

/// The scope type of roles in the whole tenant.
pub const TENANT_WIDE: &str = "tenant";
/// The scope type of roles for a group.
pub const GROUP: &str = "group";

/// A granted role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleRow {
    pub account: Uuid,
    /// Name of the role.
    pub role: String,
    /// [`TENANT_WIDE`], `group` or `pool`.
    pub scope_type: String,
    /// The group or pool; empty for the tenant.
    pub scope_id: String,
    /// Subject of the granting caller.
    pub granted_by: String,
    pub granted_at: OffsetDateTime,
    /// None if it does not expire.
    pub expires_at: Option<OffsetDateTime>,
}

impl From<Model> for RoleRow {
    fn from(row: Model) -> Self {
        Self {
            account: row.account_id,
            role: row.role,
            scope_type: row.scope_type,
            scope_id: row.scope_id,
            granted_by: row.granted_by,
            granted_at: row.granted_at.time(),
            expires_at: row.expires_at.map(Stamp::time),
        }
    }
}

impl<C: ConnectionTrait> TenantRows<'_, C> {
    /// The roles of an account in the whole tenant at a time, and when the first of them expires.
    pub async fn tenant_roles_of(&self, account: Uuid, now: Stamp) -> Result<(RoleSet, Option<OffsetDateTime>)> {
        let rows = self.roles_at(now).filter(Column::AccountId.eq(account)).filter(Column::ScopeType.eq(TENANT_WIDE));
        let rows = rows.all(self.conn).await?;
        let roles = rows.iter().filter_map(|row| row.role.parse().ok()).collect();
        let end = rows.iter().filter_map(|row| row.expires_at).min().map(Stamp::time);
        Ok((roles, end))
    }

    /// The roles of accounts in effect at a moment, in any scope, oldest first.
    pub async fn roles_of(&self, accounts: &[Uuid], now: OffsetDateTime) -> Result<Vec<RoleRow>> {
        let rows = self.roles_at(now.into()).filter(Column::AccountId.is_in(accounts.iter().copied()));
        let rows = rows.order_by_asc(Column::GrantedAt).order_by_asc(Column::Role).order_by_asc(Column::ScopeId);
        Ok(rows.all(self.conn).await?.into_iter().map(RoleRow::from).collect())
    }

    /// A query for the accounts with a granted role in the whole tenant at a time.
    pub fn holders(&self, role: Role, now: OffsetDateTime) -> SelectStatement {
        let rows = self.roles_at(now.into()).filter(Column::Role.eq(role.as_str()));
        rows.filter(Column::ScopeType.eq(TENANT_WIDE)).select_only().column(Column::AccountId).into_query()
    }

    /// A query for the accounts with a granted role in the whole tenant that does not expire.
    pub fn lasting_holders(&self, role: Role) -> SelectStatement {
        let rows = self.roles().filter(Column::Role.eq(role.as_str())).filter(Column::ExpiresAt.is_null());
        rows.filter(Column::ScopeType.eq(TENANT_WIDE)).select_only().column(Column::AccountId).into_query()
    }

    /// Inserts or replaces the grant of a role in a scope.
    pub async fn put_role(&self, row: &RoleRow) -> Result<()> {
        let model = Model {
            tenant_id: self.uuid(),
            account_id: row.account,
            role: row.role.clone(),
            scope_type: row.scope_type.clone(),
            scope_id: row.scope_id.clone(),
            granted_by: row.granted_by.clone(),
            granted_at: row.granted_at.into(),
            expires_at: row.expires_at.map(Stamp::from),
        };
        let key = [Column::TenantId, Column::AccountId, Column::Role, Column::ScopeType, Column::ScopeId];
        let anew = OnConflict::columns(key)
            .update_columns([Column::GrantedBy, Column::GrantedAt, Column::ExpiresAt])
            .to_owned();
        Entity::insert(model.into_active_model()).on_conflict(anew).exec_without_returning(self.conn).await?;
        Ok(())
    }

    /// Takes a role away, and returns whether it existed.
    pub async fn delete_role(&self, account: Uuid, role: Role, scope_type: &str, scope_id: &str) -> Result<bool> {
        let key = (self.uuid(), account, role.as_str().to_owned(), scope_type.to_owned(), scope_id.to_owned());
        Ok(Entity::delete_by_id(key).exec(self.conn).await?.rows_affected > 0)
    }

    /// Deletes all granted roles of an account.
    pub async fn delete_roles(&self, account: Uuid) -> Result<()> {
        let rows = Entity::delete_many().filter(Column::TenantId.eq(self.uuid()));
        rows.filter(Column::AccountId.eq(account)).exec(self.conn).await?;
        Ok(())
    }

    /// Deletes all roles granted for a group.
    pub async fn delete_roles_for(&self, group: Uuid) -> Result<()> {
        let rows = Entity::delete_many().filter(Column::TenantId.eq(self.uuid())).filter(Column::ScopeType.eq(GROUP));
        rows.filter(Column::ScopeId.eq(IdKind::Group.show(group))).exec(self.conn).await?;
        Ok(())
    }

    fn roles_at(&self, now: Stamp) -> Select<Entity> {
        self.roles().filter(Condition::any().add(Column::ExpiresAt.is_null()).add(Column::ExpiresAt.gt(now)))
    }

    fn roles(&self) -> Select<Entity> {
        Entity::find().filter(Column::TenantId.eq(self.uuid()))
    }
}
