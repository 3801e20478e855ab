//! The warehouse area: tenants with the provider that their users log in with (warehouse contract, sections 2 and 3).

pub mod providers;
pub mod rules;
pub mod tenants;

use crate::store::{Store, Vault};

/// What the verbs of the area work with. Cheap to clone.
#[derive(Clone)]
pub struct Warehouse {
    /// The store.
    pub store: Store,
    /// Seals secrets in the configuration of providers.
    pub vault: Vault,
    /// Most tenants of the registry; none is no limit.
    pub max_tenants: Option<u64>,
}
