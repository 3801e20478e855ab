//! The warehouse surface.

use std::sync::Arc;

use transcoder::Dialect;

use super::{Parts, Surfaces};
use crate::{
    api::warehouse::{Auth, Configs, Tenants, WarehouseDialect},
    proto::warehouse::v1::{
        auth_service_rest, auth_service_server::AuthServiceServer, config_service_rest,
        config_service_server::ConfigServiceServer, tenant_service_rest, tenant_service_server::TenantServiceServer,
    },
    warehouse::Warehouse,
};

pub(super) fn add(surfaces: Surfaces, parts: &Parts) -> Surfaces {
    let (store, limit) = (parts.store.clone(), parts.max_body);
    let vault = parts.sessions.people().vault.clone();
    let area = Warehouse { store, vault, max_tenants: parts.max_tenants };
    let auth = auth_service_rest::Guarded::new(Auth::new(parts.sessions.clone()), surfaces.guard());
    let tenants = tenant_service_rest::Guarded::new(Tenants::new(area), surfaces.guard());
    let configs = config_service_rest::Guarded::new(Configs::new(parts.warehouse_edge.clone()), surfaces.guard());
    surfaces
        .with(
            ConfigServiceServer::new(configs.clone()).max_decoding_message_size(limit),
            config_service_rest::routes(&configs),
            config_service_rest::METHODS,
        )
        .with(
            AuthServiceServer::new(auth.clone()).max_decoding_message_size(limit),
            auth_service_rest::routes(&auth),
            auth_service_rest::METHODS,
        )
        .with(
            TenantServiceServer::new(tenants.clone()).max_decoding_message_size(limit),
            tenant_service_rest::routes(&tenants),
            tenant_service_rest::METHODS,
        )
}

/// The dialect, its name and the paths that it rules.
pub(super) fn dialect() -> (&'static str, &'static [&'static str], Arc<dyn Dialect>) {
    (WarehouseDialect::NAME, WarehouseDialect::PREFIXES, Arc::new(WarehouseDialect))
}
