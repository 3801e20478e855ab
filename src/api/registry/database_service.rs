//! `DatabaseService`: logins of the databases of tenants, for their programs.

use time::Duration;

use crate::{
    api::{Deps, handlers::registry::v1::database_service::DatabaseService, timestamp},
    base::{Cx, Result},
    proto::registry::v1::{
        LeaseCredentialsRequest, LeaseCredentialsResponse, ReleaseCredentialsRequest, ReleaseCredentialsResponse,
    },
    tenants::database::leases,
};

pub struct TenantDatabases {
    pub(super) deps: Deps,
}

impl DatabaseService for TenantDatabases {
    async fn lease_credentials(&self, cx: &Cx, message: LeaseCredentialsRequest) -> Result<LeaseCredentialsResponse> {
        let ttl = |sent: prost_types::Duration| {
            Duration::seconds(sent.seconds).saturating_add(Duration::nanoseconds(sent.nanos.into()))
        };
        let ttl = message.ttl.map(ttl);
        let leased = leases::lease(cx, &self.deps.databases, cx.tenant()?, ttl).await?;
        Ok(LeaseCredentialsResponse {
            lease_id: leased.id.as_hyphenated().to_string(),
            host: leased.host,
            port: leased.port.into(),
            database: leased.database,
            username: leased.username,
            password: leased.password.expose().clone(),
            expire_time: Some(timestamp(leased.expires_at)),
        })
    }

    async fn release_credentials(
        &self,
        cx: &Cx,
        message: ReleaseCredentialsRequest,
    ) -> Result<ReleaseCredentialsResponse> {
        leases::release(cx, &self.deps.databases, cx.tenant()?, message.lease_id()).await?;
        Ok(ReleaseCredentialsResponse {})
    }
}
