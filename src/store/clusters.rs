//! A cache of the cluster names, which are few, rarely change, and are needed for every new tenant.
//!
//! On SQLite the names are cached briefly, because reading them would cost as much as the write that follows. A
//! change by this process is visible immediately, one by another process after at most [`KEPT`]. On PostgreSQL
//! the database is always queried, because changes by other replicas are common.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sea_orm::{ConnectionTrait, DbBackend, DbErr, EntityTrait, QuerySelect};

use super::{Store, Tx, entities::clusters};
use crate::base::Result;

/// How long the names are cached.
const KEPT: Duration = Duration::from_secs(1);

/// The cached names.
#[derive(Default)]
pub(super) struct ClusterNames(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// Raised by every change, so that names read before a change are not cached after it.
    changes: u64,
    names: Option<(Instant, Arc<Vec<String>>)>,
}

impl ClusterNames {
    /// Invalidates the names.
    pub fn changed(&self) {
        let mut kept = self.lock();
        kept.changes += 1;
        kept.names = None;
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// The names of all clusters, unordered.
    pub async fn cluster_names(&self) -> Result<Arc<Vec<String>>> {
        let changes = {
            let kept = self.0.observers.clusters.lock();
            match &kept.names {
                Some((read, names)) if read.elapsed() < KEPT => return Ok(Arc::clone(names)),
                _ => kept.changes,
            }
        };
        let names = Arc::new(all(self.read()).await?);
        if self.backend() == DbBackend::Sqlite {
            let mut kept = self.0.observers.clusters.lock();
            if kept.changes == changes {
                kept.names = Some((Instant::now(), Arc::clone(&names)));
            }
        }
        Ok(names)
    }
}

impl Tx {
    /// The names of all clusters as seen by this write, unordered.
    pub async fn cluster_names(&self) -> Result<Vec<String>> {
        Ok(all(self.conn()).await?)
    }
}

async fn all(conn: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
    clusters::Entity::find().select_only().column(clusters::Column::Name).into_tuple().all(conn).await
}
