//! The zero-trust surface: administration under `/v1/admin` (zero-trust contract, section 4).

mod api_key_service;
mod dialect;
mod given;
mod group_service;
mod people;
mod role_service;
mod session;
mod session_service;
mod shown;
mod tenant_service;
mod totp_service;
mod user_service;

pub use api_key_service::ApiKeys;
pub use dialect::ZeroTrustDialect;
pub use group_service::Groups;
pub use role_service::RoleGrants;
pub use session_service::AdminSessions;
pub use tenant_service::Tenants;
pub use totp_service::SecondFactors;
pub use user_service::Users;
