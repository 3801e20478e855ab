//! Plans of tenants and their limits (zero-trust contract, section 4.10).

mod devices;
mod hosts;
mod limit;
mod plan;
mod sessions;
mod users;

pub use devices::{require_device, require_gateway, require_no_excess};
pub use hosts::require_host;
pub use plan::{LIMITS, Plan, overrides};
pub use sessions::concurrent_sessions;
pub use users::{require_api_key, require_no_excess_of_users, require_user};
