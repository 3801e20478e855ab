//! How often codes of a second factor were tried, by account. An account without a row has made no attempt.

use sea_orm::entity::prelude::*;

use crate::store::columns::Stamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "factor_attempts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub account_id: Uuid,
    /// The attempts in the current window.
    pub attempts: i64,
    /// The end of the window, by the clock of the database.
    pub window_ends: Stamp,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
