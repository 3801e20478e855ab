//! The control-plane surface, `/api/control-plane` and `/api/v1/control-plane`, with its login (control-plane
//! contract).

mod dialect;
mod email_domain_service;
mod enrollment_token_service;
mod grant_service;
mod host_registration_service;
mod host_service;
mod placement_service;
mod provisioning_service;
mod session_service;
mod status_service;
mod stub;
mod tenant_service;
mod user_service;

use transcoder::Service;

pub use self::{dialect::ControlPlaneDialect, stub::Stub};
use self::{
    email_domain_service::EmailDomains, enrollment_token_service::EnrollmentTokens, grant_service::Grants,
    host_registration_service::HostRegistrations, host_service::Hosts, placement_service::Placements,
    provisioning_service::TenantProvisioning, session_service::SessionTokens, status_service::Statuses,
    tenant_service::Tenants, user_service::Users,
};
use super::{Deps, handlers::controlplane::v1 as handlers};
use crate::{
    controlplane::licensing::{Multitenancy, UNLICENSED},
    enrollment::throttle::Throttle,
};

/// All services, only the login, or the login and the names of the others, depending on configuration and license.
pub(super) fn services(deps: &Deps) -> Vec<Service> {
    let deps = || deps.clone();
    let mut services = vec![handlers::session_service::mount(SessionTokens { deps: deps() })];
    let others = [
        handlers::status_service::mount(Statuses { deps: deps() }),
        handlers::tenant_service::mount(Tenants { deps: deps() }),
        handlers::placement_service::mount(Placements { deps: deps() }),
        handlers::provisioning_service::mount(TenantProvisioning { deps: deps() }),
        handlers::user_service::mount(Users { deps: deps() }),
        handlers::grant_service::mount(Grants { deps: deps() }),
        handlers::email_domain_service::mount(EmailDomains { deps: deps() }),
        handlers::enrollment_token_service::mount(EnrollmentTokens { deps: deps() }),
        handlers::host_service::mount(Hosts { deps: deps() }),
        handlers::host_registration_service::mount(HostRegistrations { deps: deps(), throttle: Throttle::default() }),
    ];
    match deps().settings.multitenancy.state {
        Multitenancy::Enabled => services.extend(others),
        Multitenancy::Unlicensed => services.extend(others.map(|service| service.unimplemented(UNLICENSED))),
        Multitenancy::Disabled => {}
    }
    services
}

/// An optional filter; an empty text is none.
fn optional_filter(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}
