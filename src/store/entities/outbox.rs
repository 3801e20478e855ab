//! Events that wait for, or have, a revision.

use sea_orm::entity::prelude::*;

use crate::store::Stamp;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox")]
pub struct Model {
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Place in the stream, from 1; missing until the relay numbers the event.
    pub revision: Option<i64>,
    /// What kind of thing changed.
    pub topic: String,
    /// The tenant that it belongs to.
    pub tenant_id: Option<Uuid>,
    /// Which thing changed.
    pub key: String,
    /// JSON.
    pub payload: String,
    /// When it was written.
    pub created_at: Stamp,
}

/// Relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
