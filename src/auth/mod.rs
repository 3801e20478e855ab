//! Credentials to callers; keys; roles and permissions; the guard.

pub mod api_keys;
pub mod authenticate;
pub mod cache;
pub mod cookies;
pub mod csrf;
mod directory;
pub mod foreign;
pub mod guard;
pub mod jobs;
mod jws;
pub mod keys;
mod open_manager;
pub mod origins;
pub mod principal;
pub mod request;
pub mod revocation;
pub mod roles;
pub mod sessions;
pub mod surface;
pub mod tokens;

pub use api_keys::ApiKeys;
pub use authenticate::{Authentication, Authenticator};
pub use guard::Guard;
pub use origins::Origins;
pub use principal::{Principals, ProxyRoles};
pub use request::{CallFacts, ClientInfo};
pub use sessions::Sessions;
pub use surface::Surface;
