//! Credentials to callers; keys; roles and permissions; the guard.

pub mod api_keys;
pub mod authenticate;
pub mod cache;
mod directory;
pub mod foreign;
pub mod guard;
pub mod key_uses;
pub mod keys;
pub mod permissions;
pub mod refusals;
pub mod request;
pub mod revocation;
pub mod roles;
pub mod sessions;
pub mod surface;
mod tally;
pub mod tokens;

pub use api_keys::ApiKeys;
pub use authenticate::{Authentication, Authenticator};
pub use guard::Guard;
pub use key_uses::KeyUses;
pub use request::{CallFacts, Deadline};
pub use sessions::Sessions;
pub use surface::Surface;
