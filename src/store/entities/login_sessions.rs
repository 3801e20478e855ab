//! Sessions that began with a login.

use sea_orm::entity::prelude::*;

use crate::store::Stamp;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "login_sessions")]
pub struct Model {
    /// Id of the token.
    #[sea_orm(primary_key, auto_increment = false)]
    pub token_id: String,
    /// Who logged in.
    pub account_id: Uuid,
    /// Epoch of the account at that time; a later one ended the session.
    pub epoch: i64,
    /// When it ends by itself.
    pub expires_at: Stamp,
}

/// Relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
