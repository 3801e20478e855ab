//! The warehouse surface, `/api` but for the control plane's part of it (warehouse contract).

mod auth_service;
mod config_service;
mod dialect;
mod tenant_service;

pub use auth_service::Auth;
pub use config_service::Configs;
pub use dialect::WarehouseDialect;
pub use tenant_service::Tenants;
