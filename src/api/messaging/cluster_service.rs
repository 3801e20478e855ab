//! `ClusterService`: the places that tenants may use.

use tonic::{Request, Response, Status, async_trait};

use crate::{
    api::{answer, take},
    base::Result,
    messaging::clusters::{self, ClusterData},
    proto::messaging::v2::{
        self as proto, CreateClusterRequest, CreateClusterResponse, DeleteClusterRequest, DeleteClusterResponse,
        GetClusterRequest, GetClusterResponse, ListClustersRequest, ListClustersResponse, UpdateClusterRequest,
        UpdateClusterResponse, cluster_service_server::ClusterService,
    },
    store::Store,
};

/// The service.
#[derive(Clone, Debug)]
pub struct Clusters {
    store: Store,
}

impl Clusters {
    /// The service on a store.
    pub fn new(store: Store) -> Self {
        Self { store }
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
        let data = clusters::get(&cx, &self.store, &message.cluster).await;
        answer(&cx, data.map(|data| GetClusterResponse { data: Some(shown(data)) }))
    }

    async fn create_cluster(
        &self,
        request: Request<CreateClusterRequest>,
    ) -> Result<Response<CreateClusterResponse>, Status> {
        let (cx, message) = take(request)?;
        let data = message.data.map(input);
        let created = clusters::create(&cx, &self.store, &message.cluster, data.as_ref()).await;
        answer(&cx, created.map(|()| CreateClusterResponse {}))
    }

    async fn update_cluster(
        &self,
        request: Request<UpdateClusterRequest>,
    ) -> Result<Response<UpdateClusterResponse>, Status> {
        let (cx, message) = take(request)?;
        let data = message.data.map(input);
        let updated = clusters::update(&cx, &self.store, &message.cluster, data.as_ref()).await;
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

fn input(data: proto::ClusterData) -> ClusterData {
    ClusterData {
        service_url: data.service_url,
        service_url_tls: data.service_url_tls,
        broker_service_url: data.broker_service_url,
        broker_service_url_tls: data.broker_service_url_tls,
        proxy_service_url: data.proxy_service_url,
        peer_cluster_names: data.peer_cluster_names,
    }
}

fn shown(data: ClusterData) -> proto::ClusterData {
    proto::ClusterData {
        service_url: data.service_url,
        service_url_tls: data.service_url_tls,
        broker_service_url: data.broker_service_url,
        broker_service_url_tls: data.broker_service_url_tls,
        proxy_service_url: data.proxy_service_url,
        peer_cluster_names: data.peer_cluster_names,
    }
}
