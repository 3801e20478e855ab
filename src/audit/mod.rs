//! What the audit log is told of in sums: calls that were refused, and uses of API keys. What a call changes is recorded with
//! the change, by the store.

mod aggregate;
pub mod api_key_use;
pub mod denials;
pub mod jobs;

pub use api_key_use::ApiKeyUses;
pub use denials::Denials;
