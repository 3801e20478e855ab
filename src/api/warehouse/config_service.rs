//! `ConfigService`: what clients need to know before they log in.

use tonic::{Request, Response, Status, async_trait};

use crate::{
    proto::warehouse::v1::{GetClientConfigRequest, GetClientConfigResponse, config_service_server::ConfigService},
    warehouse::EdgeAddress,
};

/// The service.
#[derive(Clone, Debug)]
pub struct Configs {
    edge: EdgeAddress,
}

impl Configs {
    /// The service of a server whose clients send their queries to this edge.
    pub fn new(edge: EdgeAddress) -> Self {
        Self { edge }
    }
}

#[async_trait]
impl ConfigService for Configs {
    async fn get_client_config(
        &self,
        _: Request<GetClientConfigRequest>,
    ) -> Result<Response<GetClientConfigResponse>, Status> {
        let EdgeAddress { host, port, tls } = &self.edge;
        Ok(Response::new(GetClientConfigResponse {
            flight_sql_host: host.clone(),
            flight_sql_port: i32::from(*port),
            flight_sql_tls: *tls,
            quack_port: 0,
        }))
    }
}
