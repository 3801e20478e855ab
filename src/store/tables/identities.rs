//! Identities: people across tenants, by email address.

use sea_orm::entity::prelude::*;

use crate::{
    base::error::Reason,
    store::{columns::Stamp, unique::Unique},
};

/// The unique indexes whose violations callers see.
pub(super) const UNIQUE: &[Unique] = &[Unique {
    index: "identities_email_unique",
    columns: "identities.email_key",
    reason: Reason::IdentityExists,
    message: "a user with that email already exists",
}];

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "identities")]
pub struct Model {
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The address as it was given.
    pub email: String,
    /// The address in the form that is compared.
    pub email_key: String,
    /// Whether the identity's grants are in effect.
    pub is_active: bool,
    pub created_at: Stamp,
    pub updated_at: Stamp,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
