//! The audit log.

use sea_orm::entity::prelude::*;

use crate::{base::TenantId, store::columns::Stamp};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_events")]
pub struct Model {
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Position in the chain, from 1; NULL until the event is sealed.
    pub seq: Option<i64>,
    /// Hash of the previous event.
    pub prev_hash: Option<Vec<u8>>,
    /// Hash of this event and the previous hash.
    pub hash: Option<Vec<u8>>,
    pub at: Stamp,
    pub caller_subject: String,
    pub caller_role: String,
    pub caller_kind: String,
    /// May be deleted.
    pub tenant_id: Option<TenantId>,
    /// Such as `tenant.create`.
    pub action: String,
    pub target: String,
    pub outcome: String,
    pub request_id: String,
    /// The gRPC path, or the command.
    pub rpc: String,
    /// JSON object.
    pub details: String,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
