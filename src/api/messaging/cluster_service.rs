//! `ClusterService`: the clusters that tenants may use.

use crate::{
    api::{Deps, handlers::messaging::v2::cluster_service::ClusterService},
    base::{Cx, Result},
    messaging::clusters,
    proto::messaging::v2::{
        CreateClusterRequest, CreateClusterResponse, DeleteClusterRequest, DeleteClusterResponse, GetClusterRequest,
        GetClusterResponse, ListClustersRequest, ListClustersResponse, UpdateClusterRequest, UpdateClusterResponse,
    },
};

pub struct Clusters {
    pub(super) deps: Deps,
}

impl ClusterService for Clusters {
    async fn list_clusters(&self, cx: &Cx, _: ListClustersRequest) -> Result<ListClustersResponse> {
        let clusters = clusters::list(cx, &self.deps.store).await?;
        Ok(ListClustersResponse { clusters })
    }

    async fn get_cluster(&self, cx: &Cx, message: GetClusterRequest) -> Result<GetClusterResponse> {
        let data = clusters::get(cx, &self.deps.store, &self.deps.sealer, &message.cluster).await?;
        Ok(GetClusterResponse { data: Some(data) })
    }

    async fn create_cluster(&self, cx: &Cx, message: CreateClusterRequest) -> Result<CreateClusterResponse> {
        let CreateClusterRequest { cluster, data } = message;
        clusters::create(cx, &self.deps.store, &self.deps.sealer, &cluster, data.as_ref()).await?;
        Ok(CreateClusterResponse {})
    }

    async fn update_cluster(&self, cx: &Cx, message: UpdateClusterRequest) -> Result<UpdateClusterResponse> {
        let UpdateClusterRequest { cluster, data } = message;
        clusters::update(cx, &self.deps.store, &self.deps.sealer, &cluster, data.as_ref()).await?;
        Ok(UpdateClusterResponse {})
    }

    async fn delete_cluster(&self, cx: &Cx, message: DeleteClusterRequest) -> Result<DeleteClusterResponse> {
        clusters::delete(cx, &self.deps.store, &message.cluster).await?;
        Ok(DeleteClusterResponse {})
    }
}
