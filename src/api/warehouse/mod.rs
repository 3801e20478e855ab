//! The warehouse surface, `/api` without the control plane's part (warehouse contract).

mod auth_service;
mod config_service;
mod dialect;
mod tenant_service;

use transcoder::Service;

pub use self::dialect::WarehouseDialect;
use self::{auth_service::Auth, config_service::Configs, tenant_service::Tenants};
use super::{Deps, handlers::warehouse::v1 as handlers};
use crate::warehouse::Warehouse;

pub(super) fn services(deps: &Deps) -> Vec<Service> {
    let area =
        Warehouse { store: deps.store.clone(), sealer: deps.sealer.clone(), max_tenants: deps.settings.max_tenants };
    let deps = || deps.clone();
    vec![
        handlers::config_service::mount(Configs { deps: deps() }),
        handlers::auth_service::mount(Auth { deps: deps() }),
        handlers::tenant_service::mount(Tenants { area }),
    ]
}
