//! The checks of readiness.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use super::readiness::Check;
use crate::store::{Sealer, Store};

/// The checks by their names in `/readyz`.
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

/// The key-encryption keys match the database. Token signing keys are read only at startup, so they need no check.
struct Keys {
    sealer: Sealer,
    /// Whether the problem was logged.
    told: AtomicBool,
}

#[async_trait]
impl Check for Keys {
    async fn passes(&self) -> bool {
        // If the database does not respond, nothing is known about the keys; the check of the database fails.
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
