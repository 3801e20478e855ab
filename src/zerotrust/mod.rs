//! The zero-trust area: its view of the tenants (zero-trust contract, section 4.10).

pub mod tenants;
