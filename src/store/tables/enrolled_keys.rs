//! The thumbprints of all keys that were ever enrolled: a key is enrolled once in an installation. They are platform rows, and
//! stay when their device or gateway is deleted.

use sea_orm::entity::prelude::*;

use crate::{
    base::error::Reason,
    store::{columns::Stamp, unique::Unique},
};

/// The unique indexes whose violations callers see.
pub(super) const UNIQUE: &[Unique] = &[Unique {
    index: "enrolled_keys_pkey",
    columns: "enrolled_keys.thumbprint",
    reason: Reason::EnrolledKeyReused,
    message: "this key was enrolled before; generate a new key",
}];

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "enrolled_keys")]
pub struct Model {
    /// RFC 7638, in base64url.
    #[sea_orm(primary_key, auto_increment = false)]
    pub thumbprint: String,
    pub created_at: Stamp,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
