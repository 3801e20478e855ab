//! The outbox: changes ([`Change`](super::Change)) for streams and other consumers. On PostgreSQL rows are
//! committed without a revision and the relay numbers them later: with numbers assigned before the commit,
//! readers would skip transactions that commit late.

use std::ops::RangeInclusive;

use super::{
    Db, Fetch, Store,
    audit::ROWS,
    sequence, submit_rows,
    tables::outbox::{self, Column},
};
use crate::base::{Result, TenantId};
use sea_orm::{ColumnTrait, Condition, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

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

/// The columns of an event.
type Row = (i64, String, Option<TenantId>, String);

impl From<Row> for Event {
    fn from((revision, topic, tenant, key): Row) -> Self {
        Self { revision, topic, tenant, key }
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
    let rows = query.into_tuple::<Row>().fetch_all(store.read()).await?;
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
    let rows = query.into_tuple::<Row>().fetch_all(store.read()).await?;
    Ok(rows.into_iter().map(Event::from).collect())
}

/// Inserts rows, without waiting for the result on PostgreSQL.
pub(super) async fn insert(conn: &impl Db, rows: Vec<outbox::Model>) -> Result<(), DbErr> {
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        submit_rows::<outbox::Entity>(conn, rows.by_ref().take(ROWS).collect()).await?;
    }
    Ok(())
}
