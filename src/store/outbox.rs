//! The outbox: changes ([`Change`](super::Change)) for streams and other consumers. On PostgreSQL rows are
//! committed without a revision and the relay numbers them later: with numbers assigned before the commit,
//! readers would skip transactions that commit late.

use sea_orm::{ConnectionTrait, DbErr, EntityTrait, IntoActiveModel};

use super::{audit::ROWS, entities::outbox};

pub(super) async fn insert(conn: &impl ConnectionTrait, rows: Vec<outbox::Model>) -> Result<(), DbErr> {
    let mut rows = rows.into_iter().map(IntoActiveModel::into_active_model).peekable();
    while rows.peek().is_some() {
        outbox::Entity::insert_many(rows.by_ref().take(ROWS)).exec_without_returning(conn).await?;
    }
    Ok(())
}
