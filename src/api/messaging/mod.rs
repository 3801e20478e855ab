//! The messaging surface, `/admin/v2` (messaging contract).

mod broker_service;
mod cluster_service;
mod dialect;
mod namespace_service;
mod tenant_service;

use transcoder::Service;

pub use self::dialect::MessagingDialect;
use self::{
    broker_service::Brokers, cluster_service::Clusters, namespace_service::Namespaces, tenant_service::Tenants,
};
use super::{Deps, handlers::messaging::v2 as handlers};

pub(super) fn services(deps: &Deps) -> Vec<Service> {
    let deps = || deps.clone();
    vec![
        handlers::tenant_service::mount(Tenants { deps: deps() }),
        handlers::cluster_service::mount(Clusters { deps: deps() }),
        handlers::namespace_service::mount(Namespaces { deps: deps() }),
        handlers::broker_service::mount(Brokers { deps: deps() }),
    ]
}
