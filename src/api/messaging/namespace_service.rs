//! `NamespaceService`: the divisions of a tenant.

use tonic::{Request, Response, Status, async_trait};

use crate::{
    api::{answer, listed, take},
    base::Result,
    messaging::{MessagingSettings, namespaces},
    proto::messaging::v2::{
        CreateNamespaceRequest, CreateNamespaceResponse, DeleteNamespaceRequest, DeleteNamespaceResponse,
        GetNamespaceRequest, GetNamespaceResponse, ListNamespacesRequest, ListNamespacesResponse,
        namespace_service_server::NamespaceService,
    },
    store::Store,
};

/// The service.
#[derive(Clone, Debug)]
pub struct Namespaces {
    store: Store,
    settings: MessagingSettings,
}

impl Namespaces {
    /// The service on a store.
    pub fn new(store: Store, settings: MessagingSettings) -> Self {
        Self { store, settings }
    }
}

#[async_trait]
impl NamespaceService for Namespaces {
    async fn list_namespaces(
        &self,
        request: Request<ListNamespacesRequest>,
    ) -> Result<Response<ListNamespacesResponse>, Status> {
        let (cx, message) = take(request)?;
        let names = namespaces::list(&cx, &self.store, &message.tenant).await;
        listed(&cx, names, |namespaces| ListNamespacesResponse { namespaces })
    }

    async fn get_namespace(
        &self,
        request: Request<GetNamespaceRequest>,
    ) -> Result<Response<GetNamespaceResponse>, Status> {
        let (cx, message) = take(request)?;
        let policies = namespaces::get(&cx, &self.store, &message.tenant, &message.namespace).await;
        answer(&cx, policies.map(|policies| GetNamespaceResponse { policies: Some(policies) }))
    }

    async fn create_namespace(
        &self,
        request: Request<CreateNamespaceRequest>,
    ) -> Result<Response<CreateNamespaceResponse>, Status> {
        let (cx, message) = take(request)?;
        let CreateNamespaceRequest { tenant, namespace, policies } = message;
        let policies = policies.unwrap_or_default();
        let created = namespaces::create(&cx, &self.store, &tenant, &namespace, &policies).await;
        answer(&cx, created.map(|()| CreateNamespaceResponse {}))
    }

    async fn delete_namespace(
        &self,
        request: Request<DeleteNamespaceRequest>,
    ) -> Result<Response<DeleteNamespaceResponse>, Status> {
        let (cx, message) = take(request)?;
        let DeleteNamespaceRequest { tenant, namespace, force } = message;
        let deleted = namespaces::delete(&cx, &self.store, &self.settings, &tenant, &namespace, force).await;
        answer(&cx, deleted.map(|()| DeleteNamespaceResponse {}))
    }
}
