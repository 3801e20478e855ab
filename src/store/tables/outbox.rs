//! Outbox events.

use sea_orm::entity::prelude::*;

use crate::{base::TenantId, store::columns::Stamp};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox")]
pub struct Model {
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Position in the stream, from 1; NULL until the relay numbers the event.
    pub revision: Option<i64>,
    /// The kind of the changed resource.
    pub topic: String,
    /// The tenant of the resource.
    pub tenant_id: Option<TenantId>,
    /// The id of the changed resource.
    pub key: String,
    pub payload: String,
    pub created_at: Stamp,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
