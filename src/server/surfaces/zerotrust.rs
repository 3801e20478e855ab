//! The zero-trust surface.

use std::sync::Arc;

use transcoder::Dialect;

use super::{Parts, Surfaces};
use crate::{
    api::zerotrust::{AdminSessions, ApiKeys, Groups, RoleGrants, SecondFactors, Tenants, Users, ZeroTrustDialect},
    proto::zerotrust::v1::{
        api_key_service_rest, api_key_service_server::ApiKeyServiceServer, group_service_rest,
        group_service_server::GroupServiceServer, role_service_rest, role_service_server::RoleServiceServer,
        session_service_rest, session_service_server::SessionServiceServer, tenant_service_rest,
        tenant_service_server::TenantServiceServer, totp_service_rest, totp_service_server::TotpServiceServer,
        user_service_rest, user_service_server::UserServiceServer,
    },
};

pub(super) fn add(surfaces: Surfaces, parts: &Parts) -> Surfaces {
    let (store, sessions, limit) = (&parts.store, &parts.sessions, parts.max_body);
    let tenants = Tenants::new(store.clone(), parts.max_tenants);
    let tenants = tenant_service_rest::Guarded::new(tenants, surfaces.guard());
    let users = user_service_rest::Guarded::new(Users::new(sessions.clone()), surfaces.guard());
    let factors = SecondFactors::new(sessions.people().clone());
    let factors = totp_service_rest::Guarded::new(factors, surfaces.guard());
    let roles = role_service_rest::Guarded::new(RoleGrants::new(store.clone()), surfaces.guard());
    let sessions = session_service_rest::Guarded::new(AdminSessions::new(sessions.clone()), surfaces.guard());
    let groups = group_service_rest::Guarded::new(Groups::new(store.clone()), surfaces.guard());
    let api_keys = api_key_service_rest::Guarded::new(ApiKeys::new(store.clone()), surfaces.guard());
    surfaces
        .with(
            GroupServiceServer::new(groups.clone()).max_decoding_message_size(limit),
            group_service_rest::routes(&groups),
            group_service_rest::METHODS,
        )
        .with(
            ApiKeyServiceServer::new(api_keys.clone()).max_decoding_message_size(limit),
            api_key_service_rest::routes(&api_keys),
            api_key_service_rest::METHODS,
        )
        .with(
            TenantServiceServer::new(tenants.clone()).max_decoding_message_size(limit),
            tenant_service_rest::routes(&tenants),
            tenant_service_rest::METHODS,
        )
        .with(
            UserServiceServer::new(users.clone()).max_decoding_message_size(limit),
            user_service_rest::routes(&users),
            user_service_rest::METHODS,
        )
        .with(
            TotpServiceServer::new(factors.clone()).max_decoding_message_size(limit),
            totp_service_rest::routes(&factors),
            totp_service_rest::METHODS,
        )
        .with(
            RoleServiceServer::new(roles.clone()).max_decoding_message_size(limit),
            role_service_rest::routes(&roles),
            role_service_rest::METHODS,
        )
        .with(
            SessionServiceServer::new(sessions.clone()).max_decoding_message_size(limit),
            session_service_rest::routes(&sessions),
            session_service_rest::METHODS,
        )
}

/// The dialect, its name and the paths that it rules.
pub(super) fn dialect() -> (&'static str, &'static [&'static str], Arc<dyn Dialect>) {
    (ZeroTrustDialect::NAME, ZeroTrustDialect::PREFIXES, Arc::new(ZeroTrustDialect))
}
