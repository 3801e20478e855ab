//! Sessions started by a login.

use sea_orm::entity::prelude::*;

use crate::store::columns::Stamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "login_sessions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub token_id: String,
    pub account_id: Uuid,
    /// Epoch of the account at login; a later one ends the session.
    pub epoch: i64,
    pub expires_at: Stamp,
    /// When the grant that the session acts under expires, by the clock of the database.
    pub grant_expires_at: Option<Stamp>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
