//! Leases: work that only one replica may do at a time.
//!
//! A lease has an end, so that the work goes on when its holder dies, and a fence that grows with every holder. The
//! holder's clock decides only when to try; what makes it safe is [`Lease::hold`], which checks the fence in the very
//! transaction that does the work and keeps the row locked until it commits.

use std::time::Duration;

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Statement, sea_query::Expr};

use super::{Stamp, Store, Tx, entities::leases};
use crate::base::{Error, Result};

/// A lease that was taken. It may have ended meanwhile: only [`Lease::hold`] knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    name: &'static str,
    holder: String,
    fence: i64,
    ttl: Duration,
}

/// Takes the lease if nobody holds it, or if it is the holder's own already. Every taking raises the fence.
const TAKE: &str = "INSERT INTO leases (name, holder, fence, expires_at) VALUES ($1, $2, 1, $3) \
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, fence = leases.fence + 1, expires_at = excluded.expires_at \
    WHERE leases.expires_at <= $4 OR leases.holder = $2 RETURNING fence";

impl Lease {
    /// Takes a lease for `ttl`; `None` if another one holds it.
    pub async fn take(store: &Store, name: &'static str, holder: &str, ttl: Duration) -> Result<Option<Self>> {
        let holder = holder.to_owned();
        store
            .maintain("lease.take", move |tx| {
                let holder = holder.clone();
                Box::pin(async move {
                    let now = tx.now();
                    let values =
                        [name.into(), holder.as_str().into(), Stamp::from(now + ttl).into(), Stamp::from(now).into()];
                    let take = Statement::from_sql_and_values(tx.backend(), TAKE, values);
                    let Some(row) = tx.conn().query_one_raw(take).await? else { return Ok(None) };
                    let fence = row.try_get_by_index(0)?;
                    Ok(Some(Self { name, holder, fence, ttl }))
                })
            })
            .await
    }

    /// Renews the lease inside a write and keeps everyone else from taking it until the write ends. `false` if it was
    /// lost: the write must not go on.
    pub async fn hold(&self, tx: &Tx) -> Result<bool> {
        let renewed = self.row().col_expr(leases::Column::ExpiresAt, Expr::value(Stamp::from(tx.now() + self.ttl)));
        Ok(renewed.exec(tx.conn()).await?.rows_affected == 1)
    }

    /// Gives the lease back, so that the next holder need not wait for its end. The fence stays.
    pub async fn release(self, store: &Store) -> Result<()> {
        store
            .maintain("lease.release", move |tx| {
                let ended = self.row().col_expr(leases::Column::ExpiresAt, Expr::value(Stamp::from(tx.now())));
                Box::pin(async move { ended.exec(tx.conn()).await.map(drop).map_err(Error::from) })
            })
            .await
    }

    fn row(&self) -> sea_orm::UpdateMany<leases::Entity> {
        leases::Entity::update_many()
            .filter(leases::Column::Name.eq(self.name))
            .filter(leases::Column::Holder.eq(self.holder.as_str()))
            .filter(leases::Column::Fence.eq(self.fence))
    }
}
