//! The zero-trust surface: administration under `/v1/admin` (zero-trust contract, section 4).

mod api_key_service;
mod dialect;
mod given;
mod group_service;

pub use api_key_service::ApiKeys;
pub use dialect::ZeroTrustDialect;
pub use group_service::Groups;
