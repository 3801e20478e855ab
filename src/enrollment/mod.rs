//! Enrollment of devices and gateways (zero-trust contract, sections 4.7 and 5.1).

pub mod tokens;
