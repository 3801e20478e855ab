//! The control-plane area: its view of the tenants, and the license that the surface needs (control-plane contract, section 3).

pub mod licensing;
pub mod tenants;
