//! The control-plane surface: all of it, its login alone, or its login and a stub for the rest, as configuration and license
//! say.

use std::sync::Arc;

use transcoder::Dialect;

use super::{Parts, Surfaces, unserved::Unserved};
use crate::{
    api::controlplane::{ControlPlaneDialect, EmailDomains, Grants, SessionTokens, Statuses, Stub, Tenants, Users},
    proto::controlplane::v1::{
        email_domain_service_rest, email_domain_service_server::EmailDomainServiceServer, grant_service_rest,
        grant_service_server::GrantServiceServer, session_service_rest, session_service_server::SessionServiceServer,
        status_service_rest, status_service_server::StatusServiceServer, tenant_service_rest,
        tenant_service_server::TenantServiceServer, user_service_rest, user_service_server::UserServiceServer,
    },
    tenants::{Multitenancy, UNLICENSED},
};

pub(super) fn add(surfaces: Surfaces, parts: &Parts) -> Surfaces {
    let surfaces = sessions(surfaces, parts);
    match parts.multitenancy.state {
        Multitenancy::Enabled => whole(surfaces, parts),
        Multitenancy::Unlicensed => unlicensed(surfaces, parts),
        Multitenancy::Disabled => surfaces,
    }
}

/// The dialect, its name and the paths that it rules.
pub(super) fn dialect() -> (&'static str, &'static [&'static str], Arc<dyn Dialect>) {
    (ControlPlaneDialect::NAME, ControlPlaneDialect::PREFIXES, Arc::new(ControlPlaneDialect))
}

/// Logging in, which is there whatever else is.
fn sessions(surfaces: Surfaces, parts: &Parts) -> Surfaces {
    let sessions = SessionTokens::new(parts.sessions.clone(), parts.multitenancy.state);
    let sessions = session_service_rest::Guarded::new(sessions, surfaces.guard());
    surfaces.with(
        SessionServiceServer::new(sessions.clone()).max_decoding_message_size(parts.max_body),
        session_service_rest::routes(&sessions),
        session_service_rest::METHODS,
    )
}

fn whole(surfaces: Surfaces, parts: &Parts) -> Surfaces {
    let (store, limit) = (&parts.store, parts.max_body);
    let status = status_service_rest::Guarded::new(Statuses::new(store.clone(), parts.multitenancy), surfaces.guard());
    let tenants = tenant_service_rest::Guarded::new(Tenants::new(store.clone(), parts.max_tenants), surfaces.guard());
    let users = user_service_rest::Guarded::new(Users::new(store.clone()), surfaces.guard());
    let grants = grant_service_rest::Guarded::new(Grants::new(store.clone()), surfaces.guard());
    let domains = email_domain_service_rest::Guarded::new(EmailDomains::new(store.clone()), surfaces.guard());
    surfaces
        .with(
            StatusServiceServer::new(status.clone()).max_decoding_message_size(limit),
            status_service_rest::routes(&status),
            status_service_rest::METHODS,
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
            GrantServiceServer::new(grants.clone()).max_decoding_message_size(limit),
            grant_service_rest::routes(&grants),
            grant_service_rest::METHODS,
        )
        .with(
            EmailDomainServiceServer::new(domains.clone()).max_decoding_message_size(limit),
            email_domain_service_rest::routes(&domains),
            email_domain_service_rest::METHODS,
        )
}

/// The services that the license does not cover, and the stub of their paths.
fn unlicensed(surfaces: Surfaces, parts: &Parts) -> Surfaces {
    let stub = Stub::new(surfaces.guard(), parts.dialects.clone());
    let surfaces = surfaces
        .with(Unserved::<StatusServiceServer<Statuses>>::new(UNLICENSED), vec![], status_service_rest::METHODS)
        .with(Unserved::<TenantServiceServer<Tenants>>::new(UNLICENSED), vec![], tenant_service_rest::METHODS)
        .with(Unserved::<UserServiceServer<Users>>::new(UNLICENSED), vec![], user_service_rest::METHODS)
        .with(Unserved::<GrantServiceServer<Grants>>::new(UNLICENSED), vec![], grant_service_rest::METHODS)
        .with(
            Unserved::<EmailDomainServiceServer<EmailDomains>>::new(UNLICENSED),
            vec![],
            email_domain_service_rest::METHODS,
        );
    Surfaces { stub: Some(stub), ..surfaces }
}
