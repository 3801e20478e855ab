//! The manager surface, its parts of `/v1` (manager contract).

mod dialect;
mod tenant_service;

pub use dialect::ManagerDialect;
pub use tenant_service::Tenants;
