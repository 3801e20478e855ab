//! The control-plane area: its view of the tenants, where their databases are, how these are created and migrated, and the license that
//! the surface needs (control-plane contract, section 3).

pub mod deletion;
pub mod licensing;
pub mod migrations;
pub mod placement;
pub mod provisioning;
pub mod tenants;
