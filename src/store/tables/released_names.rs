//! Names that tenants released. Tokens signed for such a name earlier are not valid for a later tenant of that name.

use sea_orm::entity::prelude::*;

use crate::store::columns::Stamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "released_names")]
pub struct Model {
    /// The name in the form that is compared.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name_key: String,
    /// When the name was last released.
    pub released_at: Stamp,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
