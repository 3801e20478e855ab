//! Names that were derived from tenants. They outlive them.

use sea_orm::entity::prelude::*;

use crate::store::Stamp;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "derived_names")]
pub struct Model {
    /// Kind of name, such as `database`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: String,
    /// The name.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// The tenant that it was made for; it may be gone.
    pub tenant_id: Uuid,
    /// When it was chosen.
    pub created_at: Stamp,
}

/// Relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
