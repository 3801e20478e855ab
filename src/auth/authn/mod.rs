//! Authentication: from the credentials of a call to its caller.

pub mod api_keys;
pub mod authenticate;
pub mod authorities;
mod authorization_header;
pub mod caller_standing;
pub mod cookies;
pub mod csrf;
pub mod device_tokens;
pub mod dpop;
mod dpop_replay;
pub mod enrolled;
pub mod enrolled_credentials;
mod jws;
pub mod keys;
pub mod legacy_tokens;
mod manager_no_auth;
pub mod origins;
pub mod peer_certificate;
pub mod principal;
pub mod revocation;
pub mod sessions;
pub mod tenant_lookup;
mod token_cache;
pub mod tokens;
