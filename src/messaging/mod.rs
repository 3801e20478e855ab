//! The messaging area: tenants with admin roles and allowed clusters, clusters, and namespaces.
//!
//! The texts of its errors, their order and the rules of its names are those of the messaging contract, sections 4 to
//! 6, newest line, byte for byte: clients match on them.

pub mod clusters;
pub mod jobs;
pub mod namespaces;
pub mod policies;
pub mod reseal;
pub mod rules;
pub mod tenants;

mod addresses;
mod bootstrap;
mod bundles;
mod cluster_names;
mod document;
mod lookup;
mod policy_rules;

pub use bootstrap::bootstrap;
pub use tenants::administered;

/// The settings of the messaging surface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessagingSettings {
    /// Whether `force` may delete a tenant with its namespaces, or a namespace whatever it contains.
    pub force_delete: bool,
    /// Maximum number of tenants; `None` means no limit.
    pub max_tenants: Option<u64>,
}

impl Default for MessagingSettings {
    fn default() -> Self {
        Self { force_delete: true, max_tenants: None }
    }
}
