//! The manager surface.

use std::sync::Arc;

use transcoder::Dialect;

use super::{Parts, Surfaces};
use crate::{
    api::manager::{ManagerDialect, Tenants},
    proto::manager::v1::{tenant_service_rest, tenant_service_server::TenantServiceServer},
};

pub(super) fn add(surfaces: Surfaces, parts: &Parts) -> Surfaces {
    let tenants = Tenants::new(parts.store.clone(), parts.max_tenants);
    let tenants = tenant_service_rest::Guarded::new(tenants, surfaces.guard());
    surfaces.with(
        TenantServiceServer::new(tenants.clone()).max_decoding_message_size(parts.max_body),
        tenant_service_rest::routes(&tenants),
        tenant_service_rest::METHODS,
    )
}

/// The dialect, its name and the paths that it rules.
pub(super) fn dialect() -> (&'static str, &'static [&'static str], Arc<dyn Dialect>) {
    (ManagerDialect::NAME, ManagerDialect::PREFIXES, Arc::new(ManagerDialect))
}
