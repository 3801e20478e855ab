//! Calls that took effect under an `Idempotency-Key`, with their answers.

use sea_orm::entity::prelude::*;

use crate::store::Stamp;

/// A row.
#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotent_answers")]
pub struct Model {
    /// Digest of who called, what, and under which key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// Digest of the request.
    pub request_hash: String,
    /// The sealed answer; none until it is known.
    pub answer: Option<String>,
    /// When it is forgotten.
    pub expires_at: Stamp,
}

impl std::fmt::Debug for Model {
    /// Leaves out the answer, sealed as it is.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IdempotentAnswer").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
