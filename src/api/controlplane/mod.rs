//! The control-plane surface, `/api/control-plane` and `/api/v1/control-plane`, with its login (control-plane contract).

mod dialect;
mod email_domain_service;
mod grant_service;
mod session_service;
mod status_service;
mod stub;
mod tenant_service;
mod user_service;

pub use dialect::ControlPlaneDialect;
pub use email_domain_service::EmailDomains;
pub use grant_service::Grants;
pub use session_service::SessionTokens;
pub use status_service::Statuses;
pub use stub::Stub;
pub use tenant_service::Tenants;
pub use user_service::Users;

/// A text that narrows a list; the empty one does not.
fn wanted(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}
