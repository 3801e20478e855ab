//! Groups of the accounts of a tenant.

use sea_orm::entity::prelude::*;

use crate::{
    base::error::Reason,
    store::{Stamp, unique::Unique},
};

/// The unique indexes whose violations callers see.
pub(in crate::store) const UNIQUE: &[Unique] = &[Unique {
    index: "groups_name_unique",
    columns: "groups.tenant_id, groups.name_key",
    reason: Reason::GroupExists,
    message: "a group with that name already exists",
}];

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "groups")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The name as it was given.
    pub name: String,
    /// The name in the form that is compared.
    pub name_key: String,
    pub description: String,
    /// `local` or `directory`.
    pub source: String,
    /// The id at the source.
    pub external_id: Option<String>,
    /// The policy that applies to the members.
    pub policy_id: Option<String>,
    /// Raised by every change.
    pub version: i64,
    pub created_at: Stamp,
    pub updated_at: Stamp,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
