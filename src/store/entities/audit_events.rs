//! The audit log.

use sea_orm::entity::prelude::*;

use crate::store::Stamp;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_events")]
pub struct Model {
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Place in the chain, from 1; missing until the event is sealed.
    pub seq: Option<i64>,
    /// Hash of the event before.
    pub prev_hash: Option<Vec<u8>>,
    /// Hash of this event and the one before.
    pub hash: Option<Vec<u8>>,
    /// When it happened.
    pub at: Stamp,
    /// Who called.
    pub caller_subject: String,
    /// In which role.
    pub caller_role: String,
    /// What kind of caller it was.
    pub caller_kind: String,
    /// The tenant that it was about; it may be gone.
    pub tenant_id: Option<Uuid>,
    /// What was done.
    pub action: String,
    /// To what.
    pub target: String,
    /// How it ended.
    pub outcome: String,
    /// Id of the request.
    pub request_id: String,
    /// The gRPC path, or the command.
    pub rpc: String,
    /// JSON object.
    pub details: String,
}

/// Relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
