//! The manager area: what the manager's document calls tenants, projects and apps (manager contract, section 4).

pub mod tenants;
