//! The outbox: what changed, for streams and everyone else who follows. Rows commit without a revision; the relay
//! numbers them afterwards, because a number that is taken before the commit would skip those who commit late.

use std::borrow::Cow;

use sea_orm::{ConnectionTrait, DbErr, EntityTrait, IntoActiveModel};
use serde_json::Value;
use uuid::Uuid;

use super::{Stamp, audit::ROWS, entities::outbox};
use crate::base::{Clock, TenantId};

/// Something changed.
#[derive(Clone, Debug)]
pub struct OutboxEvent {
    /// What kind of thing, such as `tenant`.
    pub topic: Cow<'static, str>,
    /// The tenant that it belongs to.
    pub tenant: Option<TenantId>,
    /// Which thing.
    pub key: String,
    /// What a follower needs to know of it.
    pub payload: Value,
}

impl OutboxEvent {
    pub(super) fn into_row(self, clock: &Clock) -> outbox::Model {
        outbox::Model {
            // Never the injected clock's: the events of one transaction keep their order by it.
            id: Uuid::now_v7(),
            revision: None,
            topic: self.topic.into_owned(),
            tenant_id: self.tenant.map(TenantId::uuid),
            key: self.key,
            payload: self.payload.to_string(),
            created_at: Stamp::from(clock.now()),
        }
    }
}

pub(super) async fn insert(conn: &impl ConnectionTrait, rows: Vec<outbox::Model>) -> Result<(), DbErr> {
    let mut rows = rows.into_iter().map(IntoActiveModel::into_active_model).peekable();
    while rows.peek().is_some() {
        outbox::Entity::insert_many(rows.by_ref().take(ROWS)).exec_without_returning(conn).await?;
    }
    Ok(())
}
