//! The manager surface, a part of `/v1` (manager contract).

mod app_service;
mod dialect;
mod invoice_service;
mod paging;
mod platform_service;
mod project_service;
mod tenant_service;
mod usage_service;

use transcoder::Service;

pub use self::dialect::ManagerDialect;
use self::{
    app_service::Apps, invoice_service::Invoices, platform_service::Platform, project_service::Projects,
    tenant_service::Tenants, usage_service::Usage,
};
use super::{Deps, handlers::manager::v1 as handlers};

pub(super) fn services(deps: &Deps) -> Vec<Service> {
    vec![
        handlers::app_service::mount(Apps { deps: deps.clone() }),
        handlers::invoice_service::mount(Invoices { deps: deps.clone() }),
        handlers::platform_service::mount(Platform { deps: deps.clone() }),
        handlers::project_service::mount(Projects { deps: deps.clone() }),
        handlers::tenant_service::mount(Tenants { deps: deps.clone() }),
        handlers::usage_service::mount(Usage { deps: deps.clone() }),
    ]
}
