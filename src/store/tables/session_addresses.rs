//! The addresses of sessions: those of the active sessions of a pool are different.

use sea_orm::{QueryOrder, QuerySelect, entity::prelude::*};

use super::{
    access_sessions::{Column, Entity, starting_since},
    rows::Rows,
};
use crate::{
    base::Result,
    store::{
        Db, Fetch,
        columns::{SessionStatus, Stamp},
    },
};

impl<C: Db> Rows<'_, C, Entity> {
    /// Those of these addresses that active sessions of a pool have.
    pub async fn held_addresses(&self, pool: Uuid, of: &[String]) -> Result<Vec<String>> {
        let held = self
            .select()
            .filter(Column::PoolId.eq(pool))
            .filter(Column::Status.eq(SessionStatus::Active))
            .filter(Column::VirtualIp.is_in(of.iter().map(String::as_str)));
        Ok(held.select_only().column(Column::VirtualIp).into_tuple().fetch_all(self.conn).await?)
    }

    /// The sessions of a pool that have addresses and never started, longest ago first, at most `most`.
    pub async fn unstarted_with_address(&self, pool: Uuid, now: Stamp, most: u64) -> Result<Vec<Uuid>> {
        let since = starting_since(now);
        let unstarted = self
            .select()
            .filter(Column::PoolId.eq(pool))
            .filter(Column::Status.eq(SessionStatus::Active))
            .filter(Column::VirtualIp.is_not_null())
            .filter(Column::ReportedAt.is_null())
            .filter(Column::StartedAt.lte(since))
            .filter(Column::GrantedAt.lte(since))
            .order_by_asc(Column::StartedAt)
            .limit(most);
        Ok(unstarted.select_only().column(Column::Id).into_tuple().fetch_all(self.conn).await?)
    }
}
