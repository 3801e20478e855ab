//! Granted roles of accounts of tenants, in addition to their own.

use sea_orm::{
    Condition, IntoActiveModel, QueryOrder, QuerySelect, QueryTrait,
    entity::prelude::*,
    sea_query::{OnConflict, SelectStatement},
};
use time::OffsetDateTime;

use super::rows::{Rows, TenantRows, TenantTable};
use crate::{
    base::{IdKind, Result, Role, RoleSet},
    store::{
        Db, Exec, Fetch,
        columns::{Owner, Stamp},
    },
};

/// The scope type of roles in the whole tenant.
pub const TENANT_WIDE: &str = "tenant";
/// The scope type of roles for a group.
pub const GROUP: &str = "group";

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "account_roles")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    #[sea_orm(primary_key, auto_increment = false)]
    pub account_id: Uuid,
    /// Name of the role: a text, because a login does without the roles that its server does not know.
    #[sea_orm(primary_key, auto_increment = false)]
    pub role: String,
    /// [`TENANT_WIDE`], [`GROUP`] or `pool`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub scope_type: String,
    /// The group or pool; empty for the tenant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub scope_id: String,
    /// Subject of the granting caller.
    pub granted_by: String,
    pub granted_at: Stamp,
    /// None if it does not expire.
    pub expires_at: Option<Stamp>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TenantTable for Entity {
    const TENANT: Column = Column::TenantId;
}

impl<'a, C> TenantRows<'a, C> {
    pub fn account_roles(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// The roles of an account in the whole tenant at a time, and when the first of them expires.
    pub async fn tenant_wide(&self, account: Uuid, now: Stamp) -> Result<(RoleSet, Option<OffsetDateTime>)> {
        let rows = self.at(now).filter(Column::AccountId.eq(account)).filter(Column::ScopeType.eq(TENANT_WIDE));
        let rows = rows.fetch_all(self.conn).await?;
        let roles = rows.iter().filter_map(|row| row.role.parse().ok()).collect();
        let end = rows.iter().filter_map(|row| row.expires_at).min().map(Stamp::time);
        Ok((roles, end))
    }

    /// The roles of accounts in effect at a moment, in any scope, oldest first.
    pub async fn of(&self, accounts: &[Uuid], now: Stamp) -> Result<Vec<Model>> {
        let rows = self.at(now).filter(Column::AccountId.is_in(accounts.iter().copied()));
        let rows = rows.order_by_asc(Column::GrantedAt).order_by_asc(Column::Role).order_by_asc(Column::ScopeId);
        Ok(rows.fetch_all(self.conn).await?)
    }

    /// A query for the accounts with a granted role in the whole tenant at a time.
    pub fn holders(&self, role: Role, now: Stamp) -> SelectStatement {
        let rows = self.at(now).filter(Column::Role.eq(role));
        rows.filter(Column::ScopeType.eq(TENANT_WIDE)).select_only().column(Column::AccountId).into_query()
    }

    /// A query for the accounts with a granted role in the whole tenant that does not expire.
    pub fn lasting_holders(&self, role: Role) -> SelectStatement {
        let rows = self.select().filter(Column::Role.eq(role)).filter(Column::ExpiresAt.is_null());
        rows.filter(Column::ScopeType.eq(TENANT_WIDE)).select_only().column(Column::AccountId).into_query()
    }

    /// The accounts with a role for a group at a time, each once.
    pub async fn holders_for_group(&self, group: Uuid, now: Stamp) -> Result<Vec<Uuid>> {
        let rows = self.at(now).filter(Column::ScopeType.eq(GROUP));
        let rows = rows.filter(Column::ScopeId.eq(IdKind::Group.show(group)));
        let accounts = rows.select_only().column(Column::AccountId).distinct().order_by_asc(Column::AccountId);
        Ok(accounts.into_tuple().fetch_all(self.conn).await?)
    }

    /// Inserts or replaces the grant of a role in a scope.
    pub async fn put(&self, row: Model) -> Result<()> {
        let key = [Column::TenantId, Column::AccountId, Column::Role, Column::ScopeType, Column::ScopeId];
        let anew = OnConflict::columns(key)
            .update_columns([Column::GrantedBy, Column::GrantedAt, Column::ExpiresAt])
            .to_owned();
        Entity::insert(row.into_active_model()).on_conflict(anew).run(self.conn).await?;
        Ok(())
    }

    /// Takes a role away, and returns whether it existed.
    pub async fn delete(&self, account: Uuid, role: Role, scope_type: &str, scope_id: &str) -> Result<bool> {
        let key = (self.tenant, account, role.as_str().to_owned(), scope_type.to_owned(), scope_id.to_owned());
        Ok(Entity::delete_by_id(key).run(self.conn).await? > 0)
    }

    /// Deletes all granted roles of an account.
    pub async fn delete_of(&self, account: Uuid) -> Result<()> {
        self.delete_many().filter(Column::AccountId.eq(account)).run(self.conn).await?;
        Ok(())
    }

    /// Deletes all roles granted for a group.
    pub async fn delete_for_group(&self, group: Uuid) -> Result<()> {
        let rows = self.delete_many().filter(Column::ScopeType.eq(GROUP));
        rows.filter(Column::ScopeId.eq(IdKind::Group.show(group))).run(self.conn).await?;
        Ok(())
    }

    fn at(&self, now: Stamp) -> Select<Entity> {
        self.select().filter(Condition::any().add(Column::ExpiresAt.is_null()).add(Column::ExpiresAt.gt(now)))
    }
}
