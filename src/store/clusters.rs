//! The names of the clusters. They are few, they hardly change, and every tenant that is made asks for them.
//!
//! On SQLite they are kept for a moment: a second read would cost as much as the write that it goes before. A change by
//! this process is seen at once, one by another process after [`KEPT`] at most. PostgreSQL is always asked, because there
//! a change by another replica is the rule.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sea_orm::{ConnectionTrait, DbBackend, DbErr, EntityTrait, QuerySelect};

use super::{Store, Tx, entities::clusters};
use crate::base::Result;

/// How long the names are kept.
const KEPT: Duration = Duration::from_secs(1);

/// The names as they were last read.
#[derive(Default)]
pub(super) struct ClusterNames(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// Grows with every change, so that names which were read before it are not kept after it.
    changes: u64,
    names: Option<(Instant, Arc<Vec<String>>)>,
}

impl ClusterNames {
    /// Forgets the names because they changed.
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
    /// The names of all clusters, in no order.
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
    /// The names of all clusters as this write sees them, in no order.
    pub async fn cluster_names(&self) -> Result<Vec<String>> {
        Ok(all(self.conn()).await?)
    }
}

async fn all(conn: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
    clusters::Entity::find().select_only().column(clusters::Column::Name).into_tuple().all(conn).await
}
