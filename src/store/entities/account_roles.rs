//! Roles that were granted to accounts beside their own.

use sea_orm::entity::prelude::*;

use crate::store::Stamp;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "account_roles")]
pub struct Model {
    /// The tenant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    /// The account.
    #[sea_orm(primary_key, auto_increment = false)]
    pub account_id: Uuid,
    /// Word of the role.
    #[sea_orm(primary_key, auto_increment = false)]
    pub role: String,
    /// What it covers: `tenant`, `group` or `pool`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub scope_type: String,
    /// Which group or pool; empty for the tenant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub scope_id: String,
    /// Subject of who granted it.
    pub granted_by: String,
    /// When.
    pub granted_at: Stamp,
    /// When it ends; never, without.
    pub expires_at: Option<Stamp>,
}

/// Relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
