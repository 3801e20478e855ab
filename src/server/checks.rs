//! What the server needs to be ready.

use async_trait::async_trait;

use super::readiness::Check;
use crate::store::Store;

/// The checks by the names that `/readyz` tells. A server without keys does not start, so that check names what holds as
/// long as the process lives.
pub(super) fn all(store: &Store) -> Vec<(&'static str, Box<dyn Check>)> {
    vec![
        ("database", Box::new(Database(store.clone()))),
        ("migrations", Box::new(Migrations(store.clone()))),
        ("keys", Box::new(Keys)),
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

struct Keys;

#[async_trait]
impl Check for Keys {
    async fn passes(&self) -> bool {
        true
    }
}
