//! What tenants subscribed to: their plans, and the life of a tenant as a subscriber (zero-trust contract, section 4.10).

mod plan;
mod subscriber;
pub mod subscribers;

pub use plan::{LIMITS, Plan};
pub use subscriber::Subscriber;
