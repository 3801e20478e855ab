//! `ClusterService`: the places that tenants may use.

use tonic::{Request, Response, Status, async_trait};

use crate::{
    api::{answer, take},
    base::Result,
    messaging::clusters,
    proto::messaging::v2::{
        CreateClusterRequest, CreateClusterResponse, DeleteClusterRequest, DeleteClusterResponse, GetClusterRequest,
        GetClusterResponse, ListClustersRequest, ListClustersResponse, UpdateClusterRequest, UpdateClusterResponse,
        cluster_service_server::ClusterService,
    },
    store::{Store, Vault},
};

/// The service.
#[derive(Clone, Debug)]
pub struct Clusters {
    store: Store,
    vault: Vault,
}

impl Clusters {
    /// The service on a store, with what seals secrets.
    pub fn new(store: Store, vault: Vault) -> Self {
        Self { store, vault }
    }
}

#[async_trait]
impl ClusterService for Clusters {
    async fn list_clusters(
        &self,
        request: Request<ListClustersRequest>,
    ) -> Result<Response<ListClustersResponse>, Status> {
        let (cx, _) = take(request)?;
        let names = clusters::list(&cx, &self.store).await;
        answer(&cx, names.map(|clusters| ListClustersResponse { clusters }))
    }

    async fn get_cluster(&self, request: Request<GetClusterRequest>) -> Result<Response<GetClusterResponse>, Status> {
        let (cx, message) = take(request)?;
        let data = clusters::get(&cx, &self.store, &self.vault, &message.cluster).await;
        answer(&cx, data.map(|data| GetClusterResponse { data: Some(data) }))
    }

    async fn create_cluster(
        &self,
        request: Request<CreateClusterRequest>,
    ) -> Result<Response<CreateClusterResponse>, Status> {
        let (cx, message) = take(request)?;
        let CreateClusterRequest { cluster, data } = message;
        let created = clusters::create(&cx, &self.store, &self.vault, &cluster, data.as_ref()).await;
        answer(&cx, created.map(|()| CreateClusterResponse {}))
    }

    async fn update_cluster(
        &self,
        request: Request<UpdateClusterRequest>,
    ) -> Result<Response<UpdateClusterResponse>, Status> {
        let (cx, message) = take(request)?;
        let UpdateClusterRequest { cluster, data } = message;
        let updated = clusters::update(&cx, &self.store, &self.vault, &cluster, data.as_ref()).await;
        answer(&cx, updated.map(|()| UpdateClusterResponse {}))
    }

    async fn delete_cluster(
        &self,
        request: Request<DeleteClusterRequest>,
    ) -> Result<Response<DeleteClusterResponse>, Status> {
        let (cx, message) = take(request)?;
        let deleted = clusters::delete(&cx, &self.store, &message.cluster).await;
        answer(&cx, deleted.map(|()| DeleteClusterResponse {}))
    }
}
