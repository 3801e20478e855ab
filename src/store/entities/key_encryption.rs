//! The one row that says which key-encryption key seals the data keys.

use sea_orm::entity::prelude::*;

use crate::store::Stamp;

/// The id of the row.
pub const ONE: &str = "one";

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "key_encryption")]
pub struct Model {
    /// Always [`ONE`].
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// The id of the key, a digest.
    pub kek: String,
    /// When it became the key.
    pub changed_at: Stamp,
    /// How often data keys were replaced, from 1: the version of the data keys that are made now.
    pub generation: i64,
    /// Whether data keys of earlier generations are being replaced.
    pub resealing: bool,
}

/// Relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
