//! The newest revision of the outbox at some times.

use sea_orm::entity::prelude::*;

use crate::store::Stamp;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox_marks")]
pub struct Model {
    /// The newest revision at that time.
    #[sea_orm(primary_key, auto_increment = false)]
    pub revision: i64,
    /// The time by the clock of the database.
    pub at: Stamp,
}

/// Relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
