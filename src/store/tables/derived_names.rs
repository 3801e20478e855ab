//! Names derived from those of tenants, which outlive the tenants.

use sea_orm::entity::prelude::*;

use crate::{base::TenantId, store::columns::Stamp};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "derived_names")]
pub struct Model {
    /// Such as `database`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// May be deleted.
    pub tenant_id: TenantId,
    pub created_at: Stamp,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
