//! The manager area: tenants, projects and apps of the manager's document (manager contract, section 4).

pub mod apps;
pub mod billing;
pub mod images;
pub mod invoices;
pub mod jobs;
mod lists;
mod measures;
pub mod money;
pub mod months;
mod names;
mod namespaces;
pub mod policy;
pub mod projects;
mod quantities;
pub mod rates;
pub mod registries;
pub mod tenants;
pub mod usage;

pub use self::lists::{Listed, Paging};

/// How far the cluster is with an object. No cluster is configured: this server records what is wanted, and nothing applies it.
pub const CLUSTER: &str = "not_configured";
/// Why an app does not run.
pub const NOT_RUNNING: &str = "no cluster is configured";
