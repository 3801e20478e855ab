//! Grants: the role of an identity in a tenant.

use sea_orm::entity::prelude::*;

use crate::{
    base::error::Reason,
    store::{Stamp, unique::Unique},
};

/// The unique indexes whose violations callers see.
pub(in crate::store) const UNIQUE: &[Unique] = &[Unique {
    index: "grants_member_unique",
    columns: "grants.identity_id, grants.tenant_id",
    reason: Reason::GrantExists,
    message: "the user already has a grant in that tenant",
}];

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "grants")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub identity_id: Uuid,
    /// As the control-plane surface spells it.
    pub role: String,
    /// Whether logins start in this tenant.
    pub is_default: bool,
    /// None if it does not expire.
    pub expires_at: Option<Stamp>,
    pub created_at: Stamp,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "super::tenants::Entity", from = "Column::TenantId", to = "super::tenants::Column::Id")]
    Tenant,
}

impl Related<super::tenants::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Tenant.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
