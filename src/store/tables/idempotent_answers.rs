//! Calls with an `Idempotency-Key` that took effect, with their responses.

use sea_orm::entity::prelude::*;

use crate::store::columns::Stamp;

#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotent_answers")]
pub struct Model {
    /// Digest of the caller, the operation and the key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// Digest of the request.
    pub request_hash: String,
    /// The sealed response; none until it is known.
    pub answer: Option<String>,
    pub expires_at: Stamp,
}

impl std::fmt::Debug for Model {
    /// Omits the response, although it is sealed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IdempotentAnswer").field("id", &self.id).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
