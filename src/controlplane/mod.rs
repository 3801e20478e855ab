//! The control-plane area: its view of the tenants, where their databases are, and the license that the surface needs (control-plane contract, section 3).

pub mod deletion;
pub mod licensing;
pub mod placement;
pub mod provisioning;
pub mod tenants;
