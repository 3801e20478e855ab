//! Audit events that are aggregated: denied calls and uses of API keys, one event per minute and kind. The store records
//! what a call changes, with the change.

mod aggregate;
pub mod api_key_use;
pub mod denials;
pub mod jobs;

pub use api_key_use::ApiKeyUses;
pub use denials::Denials;
