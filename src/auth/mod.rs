//! Credentials to callers; keys; roles and permissions; the guard.

pub mod cache;
pub mod foreign;
pub mod keys;
pub mod permissions;
pub mod request;
pub mod roles;
pub mod surface;
pub mod tokens;

pub use request::{Deadline, RequestId};
pub use surface::Surface;
