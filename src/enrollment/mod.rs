//! Enrollment of devices and gateways (zero-trust contract, sections 4.7 and 5.1).

pub mod csr;
pub mod key_proof;
pub mod tokens;
