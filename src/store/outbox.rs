//! The outbox: changes ([`Change`](super::Change)) for streams and other consumers. On PostgreSQL rows are
//! committed without a revision and the relay numbers them later: with numbers assigned before the commit,
//! readers would skip transactions that commit late.

use std::ops::RangeInclusive;

use super::{
    Store,
    audit::ROWS,
    sequence,
    tables::outbox::{self, Column},
};
use crate::base::{Result, TenantId};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect,
};

/// An event, as followers read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Number of the event.
    pub revision: i64,
    /// Kind of the resource that changed.
    pub topic: String,
    /// The tenant that the resource belongs to, or is.
    pub tenant: Option<TenantId>,
    /// Id of the resource.
    pub key: String,
}

#[derive(FromQueryResult)]
struct Row {
    revision: i64,
    topic: String,
    tenant_id: Option<TenantId>,
    key: String,
}

impl From<Row> for Event {
    fn from(row: Row) -> Self {
        let Row { revision, topic, tenant_id, key } = row;
        Self { revision, topic, tenant: tenant_id, key }
    }
}

/// The newest revision; 0 before the first.
pub async fn newest(store: &Store) -> Result<i64> {
    Ok(sequence::revision(store.read()).await?)
}

/// The events after a revision, in their order, at most `limit`.
pub async fn after(store: &Store, revision: i64, limit: u64) -> Result<Vec<Event>> {
    let query = outbox::Entity::find()
        .select_only()
        .columns([Column::Revision, Column::Topic, Column::TenantId, Column::Key])
        .filter(Column::Revision.gt(revision))
        .order_by_asc(Column::Revision)
        .limit(limit);
    let rows = query.into_model::<Row>().all(store.read()).await?;
    Ok(rows.into_iter().map(Event::from).collect())
}

/// The last event of each resource of a topic, and of a tenant if there is one, after the start of a range and up to its end,
/// ordered by revision. At most `limit`.
pub async fn changed(
    store: &Store,
    topic: &str,
    tenant: Option<TenantId>,
    range: RangeInclusive<i64>,
    limit: u64,
) -> Result<Vec<Event>> {
    let tenant = tenant.map(|tenant| Column::TenantId.eq(tenant));
    let last = Column::Revision.max();
    let query = outbox::Entity::find()
        .select_only()
        .column_as(last.clone(), "revision")
        .columns([Column::Topic, Column::TenantId, Column::Key])
        .filter(Column::Revision.gt(*range.start()))
        .filter(Column::Revision.lte(*range.end()))
        .filter(Column::Topic.eq(topic))
        .filter(Condition::all().add_option(tenant))
        .group_by(Column::Topic)
        .group_by(Column::TenantId)
        .group_by(Column::Key)
        .order_by_asc(last)
        .limit(limit);
    let rows = query.into_model::<Row>().all(store.read()).await?;
    Ok(rows.into_iter().map(Event::from).collect())
}

pub(super) async fn insert(conn: &impl ConnectionTrait, rows: Vec<outbox::Model>) -> Result<(), DbErr> {
    let mut rows = rows.into_iter().map(IntoActiveModel::into_active_model).peekable();
    while rows.peek().is_some() {
        outbox::Entity::insert_many(rows.by_ref().take(ROWS)).exec_without_returning(conn).await?;
    }
    Ok(())
}
