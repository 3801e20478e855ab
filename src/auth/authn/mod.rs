//! Authentication: from the credentials of a call to its caller.

pub mod api_keys;
pub mod authenticate;
pub mod caller_standing;
pub mod cookies;
pub mod csrf;
mod jws;
pub mod keys;
pub mod legacy_tokens;
mod manager_no_auth;
pub mod origins;
pub mod principal;
pub mod revocation;
pub mod sessions;
pub mod tenant_lookup;
mod token_cache;
pub mod tokens;
