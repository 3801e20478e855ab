//! Credentials to callers; keys; roles and permissions; the guard.

pub mod permissions;
