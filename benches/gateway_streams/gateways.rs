//! A tenant with a pool and tokens for gateways and devices.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};
use sha2::{Digest as _, Sha256};
use tenantry_proto::zerotrust::v1::{
    ChangeGatewayPoolRequest, ChangeTenantRequest, EnrollDevice, EnrollRequest, GenerateTokensRequest,
    enrollment_service_client::EnrollmentServiceClient, enrollment_token_service_client::EnrollmentTokenServiceClient,
    gateway_pool_service_client::GatewayPoolServiceClient, tenant_service_client::TenantServiceClient,
};
use tonic::{Request, transport::Channel};

use super::World;

/// The tenant of all gateways.
pub const TENANT: &str = "bench";

/// Creates the tenant, and returns a token with which this number of gateways can enroll.
pub async fn token(channel: Channel, administrator: &str, uses: usize) -> String {
    let tenant = ChangeTenantRequest {
        action: Some("create".to_owned()),
        slug: Some(TENANT.to_owned()),
        ..ChangeTenantRequest::default()
    };
    let mut tenants = TenantServiceClient::new(channel.clone());
    tenants.change_tenant(authorized(administrator, tenant)).await.expect("a tenant");
    let pool = ChangeGatewayPoolRequest {
        action: Some("create".to_owned()),
        tenant_id: Some(TENANT.to_owned()),
        name: Some("pool".to_owned()),
        ..ChangeGatewayPoolRequest::default()
    };
    let mut pools = GatewayPoolServiceClient::new(channel.clone());
    let made = pools.change_gateway_pool(authorized(administrator, pool)).await.expect("a pool").into_inner();
    let pool = made.answer.and_then(|answer| answer.pool).expect("a pool").id;
    let token = GenerateTokensRequest {
        tenant_id: Some(TENANT.to_owned()),
        kind: Some("gateway".to_owned()),
        pool_id: Some(pool),
        max_uses: i64::try_from(uses).ok(),
        ..GenerateTokensRequest::default()
    };
    generated(channel, administrator, token).await
}

async fn generated(channel: Channel, administrator: &str, token: GenerateTokensRequest) -> String {
    let mut tokens = EnrollmentTokenServiceClient::new(channel);
    let made = tokens.generate_tokens(authorized(administrator, token)).await.expect("a token").into_inner();
    made.answer.and_then(|answer| answer.token).expect("a token")
}

/// Enrolls devices, and returns their ids and the thumbprints of their keys.
pub async fn devices(world: &World, number: usize) -> Vec<(String, String)> {
    let channel = world.ours().channel(None).expect("a channel");
    let token = GenerateTokensRequest {
        tenant_id: Some(TENANT.to_owned()),
        kind: Some("device".to_owned()),
        max_uses: i64::try_from(number).ok(),
        ..GenerateTokensRequest::default()
    };
    let token = generated(channel.clone(), &world.administrator, token).await;
    let mut devices = Vec::with_capacity(number);
    for number in 0..number {
        let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        let request = CertificateParams::default().serialize_request(&key).and_then(|request| request.pem());
        let device = EnrollDevice {
            name: Some(format!("device-{number}")),
            platform: Some("linux".to_owned()),
            ..EnrollDevice::default()
        };
        let request = EnrollRequest {
            token: Some(token.clone()),
            device: Some(device),
            csr_pem: Some(request.expect("a request")),
            ..EnrollRequest::default()
        };
        let enrolled = EnrollmentServiceClient::new(channel.clone()).enroll(request).await.expect("a device");
        let id = enrolled.into_inner().device_id.expect("an id");
        // RFC 7638 and RFC 8037.
        let x = URL_SAFE_NO_PAD.encode(key.public_key_raw());
        let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        devices.push((id, URL_SAFE_NO_PAD.encode(Sha256::digest(members))));
    }
    devices
}

fn authorized<T>(administrator: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {administrator}").parse().expect("a value"));
    request
}
