//! What the services are made of.

use crate::{
    auth::Sessions,
    identity::People,
    messaging::MessagingSettings,
    store::{Sealer, Store},
    tenants::MultitenancySettings,
    warehouse::EdgeAddress,
};

/// What the services are made of. Cheap to clone.
#[derive(Clone)]
pub struct Deps {
    /// The store.
    pub store: Store,
    /// Seals secrets.
    pub sealer: Sealer,
    /// Accounts and their passwords.
    pub people: People,
    /// Begins and ends sessions.
    pub sessions: Sessions,
    /// What the administrator of the server has set.
    pub settings: Settings,
}

/// Settings of the surfaces.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Most tenants in the registry; `None` is no limit.
    pub max_tenants: Option<u64>,
    /// Settings of the control-plane surface.
    pub multitenancy: MultitenancySettings,
    /// Settings of the messaging surface.
    pub messaging: MessagingSettings,
    /// Where clients of the warehouse send their queries.
    pub warehouse_edge: EdgeAddress,
}
