//! What tenants are entitled to: plans and their limits.

mod plan;

pub use plan::{LIMITS, Plan, overrides};
