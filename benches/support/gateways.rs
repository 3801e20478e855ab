//! A tenant with a pool and a token for gateways.

use tenantry_proto::zerotrust::v1::{
    ChangeGatewayPoolRequest, ChangeTenantRequest, GenerateTokensRequest,
    enrollment_token_service_client::EnrollmentTokenServiceClient,
    gateway_pool_service_client::GatewayPoolServiceClient, tenant_service_client::TenantServiceClient,
};
use tonic::{Request, transport::Channel};

/// Creates the tenant `bench`, and returns a token with which this number of gateways can enroll.
pub async fn token(channel: Channel, administrator: &str, uses: usize) -> String {
    let tenant = ChangeTenantRequest {
        action: Some("create".to_owned()),
        slug: Some("bench".to_owned()),
        ..ChangeTenantRequest::default()
    };
    let mut tenants = TenantServiceClient::new(channel.clone());
    tenants.change_tenant(authorized(administrator, tenant)).await.expect("a tenant");
    let pool = ChangeGatewayPoolRequest {
        action: Some("create".to_owned()),
        tenant_id: Some("bench".to_owned()),
        name: Some("pool".to_owned()),
        ..ChangeGatewayPoolRequest::default()
    };
    let mut pools = GatewayPoolServiceClient::new(channel.clone());
    let made = pools.change_gateway_pool(authorized(administrator, pool)).await.expect("a pool").into_inner();
    let pool = made.answer.and_then(|answer| answer.pool).expect("a pool").id;
    let token = GenerateTokensRequest {
        tenant_id: Some("bench".to_owned()),
        kind: Some("gateway".to_owned()),
        pool_id: Some(pool),
        max_uses: i64::try_from(uses).ok(),
        ..GenerateTokensRequest::default()
    };
    let mut tokens = EnrollmentTokenServiceClient::new(channel);
    let made = tokens.generate_tokens(authorized(administrator, token)).await.expect("a token").into_inner();
    made.answer.and_then(|answer| answer.token).expect("a token")
}

fn authorized<T>(administrator: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {administrator}").parse().expect("a value"));
    request
}
