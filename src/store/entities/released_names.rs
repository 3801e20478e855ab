//! Names that tenants gave up. A later tenant may take such a name, but not the tokens that were signed for it before.

use sea_orm::entity::prelude::*;

use crate::store::Stamp;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "released_names")]
pub struct Model {
    /// The name as it is compared.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name_key: String,
    /// When a tenant gave it up last.
    pub released_at: Stamp,
}

/// Relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
