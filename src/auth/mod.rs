//! Credentials to callers; keys; roles and permissions; the guard.

pub mod authenticate;
pub mod cache;
mod directory;
pub mod foreign;
pub mod guard;
pub mod keys;
pub mod permissions;
pub mod refusals;
pub mod request;
pub mod revocation;
pub mod roles;
pub mod sessions;
pub mod surface;
pub mod tokens;

pub use authenticate::{Authentication, Authenticator};
pub use guard::Guard;
pub use request::{CallFacts, Deadline};
pub use sessions::Sessions;
pub use surface::Surface;
