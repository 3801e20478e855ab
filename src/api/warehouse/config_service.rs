//! `ConfigService`: configuration that clients need before login.

use crate::{
    api::{Deps, handlers::warehouse::v1::config_service::ConfigService},
    base::{Cx, Result},
    proto::warehouse::v1::{GetClientConfigRequest, GetClientConfigResponse},
    warehouse::EdgeAddress,
};

pub struct Configs {
    pub(super) deps: Deps,
}

impl ConfigService for Configs {
    async fn get_client_config(&self, _: &Cx, _: GetClientConfigRequest) -> Result<GetClientConfigResponse> {
        let EdgeAddress { host, port, tls } = &self.deps.settings.warehouse_edge;
        Ok(GetClientConfigResponse {
            flight_sql_host: host.clone(),
            flight_sql_port: i32::from(*port),
            flight_sql_tls: *tls,
            quack_port: 0,
        })
    }
}
