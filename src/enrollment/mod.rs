//! Enrollment of devices and gateways (zero-trust contract, sections 4.7 and 5.1), and of hosts (control-plane contract,
//! sections 3.5 and 6). All of them have the same tokens.

mod as_token;
pub mod csr;
pub mod enroll;
pub mod hosts;
pub mod key_proof;
pub mod throttle;
pub mod tokens;
