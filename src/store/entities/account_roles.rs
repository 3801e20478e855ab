//! Granted roles of accounts, in addition to their own.

use sea_orm::entity::prelude::*;

use crate::store::Stamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "account_roles")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub account_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub role: String,
    /// `tenant`, `group` or `pool`.
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
