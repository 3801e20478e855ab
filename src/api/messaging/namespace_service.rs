//! `NamespaceService`: the namespaces of tenants.

use crate::{
    api::{Deps, List, handlers::messaging::v2::namespace_service::NamespaceService, list_response},
    base::{Cx, Result},
    messaging::namespaces,
    proto::messaging::v2::{
        CreateNamespaceRequest, CreateNamespaceResponse, DeleteNamespaceRequest, DeleteNamespaceResponse,
        GetNamespaceRequest, GetNamespaceResponse, ListNamespacesRequest, ListNamespacesResponse,
    },
};

pub struct Namespaces {
    pub(super) deps: Deps,
}

impl NamespaceService for Namespaces {
    async fn list_namespaces(&self, cx: &Cx, message: ListNamespacesRequest) -> Result<List<ListNamespacesResponse>> {
        let names = namespaces::list(cx, &self.deps.store, &message.tenant).await?;
        Ok(list_response(cx, names, |namespaces| ListNamespacesResponse { namespaces }))
    }

    async fn get_namespace(&self, cx: &Cx, message: GetNamespaceRequest) -> Result<GetNamespaceResponse> {
        let policies = namespaces::get(cx, &self.deps.store, &message.tenant, &message.namespace).await?;
        Ok(GetNamespaceResponse { policies: Some(policies) })
    }

    async fn create_namespace(&self, cx: &Cx, message: CreateNamespaceRequest) -> Result<CreateNamespaceResponse> {
        let CreateNamespaceRequest { tenant, namespace, policies } = message;
        let policies = policies.unwrap_or_default();
        namespaces::create(cx, &self.deps.store, &tenant, &namespace, &policies).await?;
        Ok(CreateNamespaceResponse {})
    }

    async fn delete_namespace(&self, cx: &Cx, message: DeleteNamespaceRequest) -> Result<DeleteNamespaceResponse> {
        let DeleteNamespaceRequest { tenant, namespace, force } = message;
        namespaces::delete(cx, &self.deps.store, &self.deps.settings.messaging, &tenant, &namespace, force).await?;
        Ok(DeleteNamespaceResponse {})
    }
}
