//! The warehouse area: tenants with the identity provider of their users (warehouse contract, sections 2 and 3).

pub mod providers;
pub mod reseal;
pub mod rules;
pub mod tenants;

use crate::store::{Sealer, Store};

/// The dependencies of the area's operations. Cheap to clone.
#[derive(Clone)]
pub struct Warehouse {
    pub store: Store,
    pub sealer: Sealer,
    /// Maximum number of tenants; `None` means no limit.
    pub max_tenants: Option<u64>,
}

/// The address to which clients of the warehouse send their queries: an edge that speaks Arrow Flight SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeAddress {
    /// Host name or address; empty means the host of the request.
    pub host: String,
    pub port: u16,
    pub tls: bool,
}

impl Default for EdgeAddress {
    /// The defaults of clients (warehouse contract, decisions).
    fn default() -> Self {
        Self { host: String::new(), port: 31338, tls: true }
    }
}
