//! Plans of tenants and their limits (zero-trust contract, section 4.10).

mod devices;
mod hosts;
mod plan;
mod sessions;

pub use devices::{require_device, require_gateway, require_no_excess};
pub use hosts::require_host;
pub use plan::{LIMITS, Plan, overrides};
pub use sessions::concurrent_sessions;
