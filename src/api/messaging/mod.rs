//! The messaging surface, `/admin/v2` (messaging contract).

mod broker_service;
mod cluster_service;
mod dialect;
mod namespace_service;
mod tenant_service;

pub use broker_service::Brokers;
pub use cluster_service::Clusters;
pub use dialect::MessagingDialect;
pub use namespace_service::Namespaces;
pub use tenant_service::Tenants;
