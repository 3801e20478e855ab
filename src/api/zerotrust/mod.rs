//! The zero-trust surface: administration under `/v1/admin` (zero-trust contract, section 4).

mod access_session_service;
mod admission_service;
mod api_key_service;
mod artifacts;
mod certificate_service;
mod device_policy_service;
mod device_service;
mod dialect;
mod enrollment_service;
mod enrollment_token_service;
mod gateway_directory_service;
mod gateway_pool_service;
mod gateway_runtime_service;
mod gateway_service;
mod group_service;
mod metering_service;
mod policy_rollout_service;
mod policy_service;
mod request;
mod response;
mod role_service;
mod rotation_service;
mod session;
mod session_service;
mod signer_service;
mod spc_service;
mod telemetry_service;
mod tenant_service;
mod totp_service;
mod trust_service;
mod user_service;
mod wait;
mod watched;

use transcoder::Service;

pub use self::dialect::ZeroTrustDialect;
use self::{
    access_session_service::AccessSessions, admission_service::Admission, api_key_service::ApiKeys,
    certificate_service::Certificates, device_policy_service::DevicePolicies, device_service::Devices,
    enrollment_service::Enrollments, enrollment_token_service::EnrollmentTokens,
    gateway_directory_service::GatewayDirectory, gateway_pool_service::GatewayPools,
    gateway_runtime_service::GatewayRuntime, gateway_service::Gateways, group_service::Groups,
    metering_service::Metering, policy_rollout_service::PolicyRollouts, policy_service::Policies,
    role_service::RoleGrants, rotation_service::Rotations, session_service::AdminSessions, signer_service::Signers,
    spc_service::Spcs, telemetry_service::Telemetry, tenant_service::Tenants, totp_service::SecondFactors,
    trust_service::TrustAnchors, user_service::Users,
};
use super::{Deps, handlers::zerotrust::v1 as handlers};
use crate::{access::admission::Admissions, enrollment::throttle::Throttle};

pub(super) fn services(of: &Deps) -> Vec<Service> {
    let deps = || of.clone();
    vec![
        handlers::group_service::mount(Groups { deps: deps() }),
        handlers::api_key_service::mount(ApiKeys { deps: deps() }),
        handlers::device_service::mount(Devices { deps: deps() }),
        handlers::gateway_service::mount(Gateways { deps: deps() }),
        handlers::gateway_runtime_service::mount(GatewayRuntime { deps: deps() }),
        handlers::enrollment_token_service::mount(EnrollmentTokens { deps: deps() }),
        handlers::enrollment_service::mount(Enrollments { deps: deps(), throttle: Throttle::default() }),
        handlers::trust_service::mount(TrustAnchors { deps: deps() }),
        handlers::gateway_directory_service::mount(GatewayDirectory { deps: deps() }),
        handlers::signer_service::mount(Signers { deps: deps() }),
        handlers::rotation_service::mount(Rotations { deps: deps() }),
        handlers::certificate_service::mount(Certificates { deps: deps() }),
        handlers::gateway_pool_service::mount(GatewayPools { deps: deps() }),
        handlers::device_policy_service::mount(DevicePolicies { deps: deps() }),
        handlers::access_session_service::mount(AccessSessions { deps: deps() }),
        handlers::admission_service::mount(Admission { admissions: Admissions::new(&of.store, &of.trust) }),
        handlers::metering_service::mount(Metering { deps: deps() }),
        handlers::policy_rollout_service::mount(PolicyRollouts { deps: deps() }),
        handlers::policy_service::mount(Policies { deps: deps() }),
        handlers::spc_service::mount(Spcs { deps: deps() }),
        handlers::tenant_service::mount(Tenants { deps: deps() }),
        handlers::user_service::mount(Users { deps: deps() }),
        handlers::totp_service::mount(SecondFactors { deps: deps() }),
        handlers::role_service::mount(RoleGrants { deps: deps() }),
        handlers::session_service::mount(AdminSessions { deps: deps() }),
        handlers::telemetry_service::mount(Telemetry { deps: deps() }),
    ]
}
