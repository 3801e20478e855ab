//! The dependencies of the services.

use crate::{
    auth::Sessions,
    controlplane::licensing::MultitenancySettings,
    identity::People,
    messaging::MessagingSettings,
    store::{Sealer, Store},
    warehouse::EdgeAddress,
};

/// The dependencies of the services. Cheap to clone.
#[derive(Clone)]
pub struct Deps {
    pub store: Store,
    pub sealer: Sealer,
    pub people: People,
    pub sessions: Sessions,
    pub settings: Settings,
}

#[derive(Clone, Debug)]
pub struct Settings {
    /// Maximum number of tenants in the registry; `None` for no limit.
    pub max_tenants: Option<u64>,
    pub multitenancy: MultitenancySettings,
    pub messaging: MessagingSettings,
    /// The address to which warehouse clients send queries.
    pub warehouse_edge: EdgeAddress,
}
