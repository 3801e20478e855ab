//! The manager area: tenants, projects and apps of the manager's document (manager contract, section 4).

pub mod tenants;
