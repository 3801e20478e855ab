//! The limit on tenants, exact even with concurrent creation.

use sea_orm::{ColumnTrait, DbBackend, EntityTrait, QueryFilter, Statement};

use crate::{
    base::{
        Error, Result, TenantName,
        error::{LimitReached, Reason},
    },
    store::{Count, Tx, execute, tables::tenants},
};

/// The advisory lock for counting tenants: the letters `tenants#` as a number.
const LOCK: i64 = i64::from_be_bytes(*b"tenants#");

/// Fails if as many tenants exist as may. Those in their time of grace count: they may come back.
pub(super) async fn check(tx: &Tx, name: &TenantName, max: u64) -> Result<()> {
    if tx.backend() == DbBackend::Postgres {
        // Waits for all transactions that counted before and have not committed.
        let lock = Statement::from_sql_and_values(tx.backend(), "SELECT pg_advisory_xact_lock($1)", [LOCK.into()]);
        execute(tx.conn(), lock).await?;
    }
    let taken = tenants::Entity::find().filter(tenants::Column::NameKey.eq(name.key())).fetch_count(tx.conn()).await?;
    if taken > 0 {
        return Err(Error::exists(Reason::TenantExists, "a tenant with that name already exists"));
    }
    let used = tenants::Entity::find().filter(tenants::exists()).fetch_count(tx.conn()).await?;
    if used >= max {
        let limit = LimitReached { resource: "tenants", limit: max, used };
        return Err(Error::limit_reached(Reason::TenantLimitReached, "the tenant limit is reached", limit));
    }
    Ok(())
}
