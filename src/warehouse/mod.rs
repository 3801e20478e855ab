//! The warehouse area: tenants with the provider that their users log in with (warehouse contract, sections 2 and 3).

pub mod providers;
pub mod reseal;
pub mod rules;
pub mod tenants;

use crate::store::{Sealer, Store};

/// What the verbs of the area work with. Cheap to clone.
#[derive(Clone)]
pub struct Warehouse {
    /// The store.
    pub store: Store,
    /// Seals secrets in the configuration of providers.
    pub sealer: Sealer,
    /// Most tenants of the registry; none is no limit.
    pub max_tenants: Option<u64>,
}

/// Where clients of the warehouse send their queries: an edge that speaks Arrow Flight SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeAddress {
    /// Host name or address; empty means the host that the client has called.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether it speaks TLS.
    pub tls: bool,
}

impl Default for EdgeAddress {
    /// What clients expect that were told nothing (warehouse contract, decisions).
    fn default() -> Self {
        Self { host: String::new(), port: 31338, tls: true }
    }
}
