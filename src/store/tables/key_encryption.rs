//! A single row that identifies the key-encryption key of the data keys.

use sea_orm::entity::prelude::*;

use crate::store::columns::Stamp;

pub const ONE: &str = "one";

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "key_encryption")]
pub struct Model {
    /// Always [`ONE`].
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// The id of the key: a digest, or the name of a key of another system.
    pub kek: String,
    /// When the key became the current one.
    pub changed_at: Stamp,
    /// The generation of new data keys, from 1.
    pub generation: i64,
    /// Whether data keys of earlier generations are being replaced.
    pub resealing: bool,
    /// Something that a key of another system has sealed, by which it is recognized; none for other keys.
    pub proof: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
