//! Plans of tenants and their limits (zero-trust contract, section 4.10).

mod devices;
mod plan;

pub use devices::{require_device, require_gateway, require_no_excess};
pub use plan::{LIMITS, Plan, overrides};
