//! What the server needs to be ready.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use super::readiness::Check;
use crate::store::{Sealer, Store};

/// The checks by the names that `/readyz` tells.
pub(super) fn all(store: &Store, sealer: Sealer) -> Vec<(&'static str, Box<dyn Check>)> {
    vec![
        ("database", Box::new(Database(store.clone()))),
        ("migrations", Box::new(Migrations(store.clone()))),
        ("keys", Box::new(Keys { sealer, told: AtomicBool::new(false) })),
    ]
}

struct Database(Store);

#[async_trait]
impl Check for Database {
    async fn passes(&self) -> bool {
        self.0.ping().await.is_ok()
    }
}

struct Migrations(Store);

#[async_trait]
impl Check for Migrations {
    async fn passes(&self) -> bool {
        self.0.pending_migrations().await.is_ok_and(|pending| pending.is_empty())
    }
}

/// The key-encryption keys are those of the database. The keys that sign tokens are read at the start, and hold as long as
/// the process lives.
struct Keys {
    sealer: Sealer,
    /// Whether the log has been told what is wrong.
    told: AtomicBool,
}

#[async_trait]
impl Check for Keys {
    async fn passes(&self) -> bool {
        // A database that does not answer says nothing of the keys; its own check fails.
        let Ok(fit) = self.sealer.fit().await else { return false };
        let fits = fit.require();
        if let Err(error) = &fits
            && !self.told.load(Ordering::Relaxed)
        {
            tracing::error!(%error, "not ready: the keys do not match the database");
        }
        self.told.store(fits.is_err(), Ordering::Relaxed);
        fits.is_ok()
    }
}
