//! The manager surface, a part of `/v1` (manager contract).

mod app_service;
mod dialect;
mod paging;
mod platform_service;
mod project_service;
mod tenant_service;

use transcoder::Service;

pub use self::dialect::ManagerDialect;
use self::{app_service::Apps, platform_service::Platform, project_service::Projects, tenant_service::Tenants};
use super::{Deps, handlers::manager::v1 as handlers};

pub(super) fn services(deps: &Deps) -> Vec<Service> {
    vec![
        handlers::app_service::mount(Apps { deps: deps.clone() }),
        handlers::platform_service::mount(Platform { deps: deps.clone() }),
        handlers::project_service::mount(Projects { deps: deps.clone() }),
        handlers::tenant_service::mount(Tenants { deps: deps.clone() }),
    ]
}
