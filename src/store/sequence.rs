//! The last assigned numbers. The caller must be the only one that assigns numbers until it commits: the single
//! writer of SQLite, or the holder of the relay's lease.
//!
//! They are read from the newest numbered rows, so pruning must keep the newest row.

use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::{
    Db, Fetch,
    chain::Head,
    tables::{audit_events, outbox},
};

/// The newest revision of the outbox; 0 before the first.
pub(in crate::store) async fn revision(conn: &impl Db) -> Result<i64, DbErr> {
    let newest: Option<i64> = outbox::Entity::find()
        .select_only()
        .column(outbox::Column::Revision)
        .filter(outbox::Column::Revision.is_not_null())
        .order_by_desc(outbox::Column::Revision)
        .limit(1)
        .into_tuple()
        .fetch_one(conn)
        .await?;
    Ok(newest.unwrap_or(0))
}

/// The newest link of the audit chain.
pub(in crate::store) async fn seal(conn: &impl Db) -> Result<Head, DbErr> {
    let newest = audit_events::Entity::find()
        .filter(audit_events::Column::Seq.is_not_null())
        .order_by_desc(audit_events::Column::Seq)
        .limit(1)
        .fetch_one(conn)
        .await?;
    Ok(newest.as_ref().and_then(Head::of).unwrap_or(Head::START))
}
