//! Who may do work that only one may do.

use sea_orm::entity::prelude::*;

use crate::store::Stamp;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "leases")]
pub struct Model {
    /// The work.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// Who holds it.
    pub holder: String,
    /// Grows with every change of holder.
    pub fence: i64,
    /// When it ends unless renewed.
    pub expires_at: Stamp,
}

/// Relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
