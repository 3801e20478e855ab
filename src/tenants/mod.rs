//! The registry: tenants, whatever surface made them.

mod limit;
mod names;
mod status;
mod tenant;
mod write;

pub use names::released_at;
pub use status::Status;
pub use tenant::{Tenant, find, list, not_found, resolve, resolve_locked};
pub use write::{Change, NewTenant, delete, insert, update};
