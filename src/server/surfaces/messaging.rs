//! The messaging surface.

use std::sync::Arc;

use transcoder::Dialect;

use super::{Parts, Surfaces};
use crate::{
    api::messaging::{Brokers, Clusters, MessagingDialect, Namespaces, Tenants},
    proto::messaging::v2::{
        broker_service_rest, broker_service_server::BrokerServiceServer, cluster_service_rest,
        cluster_service_server::ClusterServiceServer, namespace_service_rest,
        namespace_service_server::NamespaceServiceServer, tenant_service_rest,
        tenant_service_server::TenantServiceServer,
    },
};

pub(super) fn add(surfaces: Surfaces, parts: &Parts) -> Surfaces {
    let (store, settings, limit) = (&parts.store, parts.messaging, parts.max_body);
    let tenants = tenant_service_rest::Guarded::new(Tenants::new(store.clone(), settings), surfaces.guard());
    let clusters =
        cluster_service_rest::Guarded::new(Clusters::new(store.clone(), parts.vault.clone()), surfaces.guard());
    let namespaces = namespace_service_rest::Guarded::new(Namespaces::new(store.clone(), settings), surfaces.guard());
    let brokers = broker_service_rest::Guarded::new(Brokers::new(store.clone()), surfaces.guard());
    surfaces
        .with(
            TenantServiceServer::new(tenants.clone()).max_decoding_message_size(limit),
            tenant_service_rest::routes(&tenants),
            tenant_service_rest::METHODS,
        )
        .with(
            ClusterServiceServer::new(clusters.clone()).max_decoding_message_size(limit),
            cluster_service_rest::routes(&clusters),
            cluster_service_rest::METHODS,
        )
        .with(
            NamespaceServiceServer::new(namespaces.clone()).max_decoding_message_size(limit),
            namespace_service_rest::routes(&namespaces),
            namespace_service_rest::METHODS,
        )
        .with(
            BrokerServiceServer::new(brokers.clone()).max_decoding_message_size(limit),
            broker_service_rest::routes(&brokers),
            broker_service_rest::METHODS,
        )
}

/// The dialect, its name and the paths that it rules.
pub(super) fn dialect() -> (&'static str, &'static [&'static str], Arc<dyn Dialect>) {
    (MessagingDialect::NAME, MessagingDialect::PREFIXES, Arc::new(MessagingDialect))
}
