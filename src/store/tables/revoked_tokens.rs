//! Tokens revoked before their expiry.

use sea_orm::entity::prelude::*;

use crate::store::columns::Stamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "revoked_tokens")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub jti: String,
    /// Expiry of the token.
    pub expires_at: Stamp,
    pub revoked_at: Stamp,
    /// Revision of the revocation.
    pub revision: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
