//! Plans of tenants and their limits (zero-trust contract, section 4.10).

mod plan;

pub use plan::{LIMITS, Plan, overrides};
