//! Authentication and authorization: credentials, callers, roles, permissions and the guard.

pub mod authn;
pub mod authz;
pub mod jobs;
mod lookups;
mod project_tokens;
pub mod request;
pub mod surface;

pub use authn::api_keys::ApiKeys;
pub use authn::authenticate::{Authentication, Authenticator};
pub use authn::caller_standing::CallerStanding;
pub use authn::enrolled_credentials::EnrolledCredentials;
pub use authn::origins::Origins;
pub use authn::peer_certificate::PeerCertificate;
pub use authn::principal::{Principals, ProxyRoles};
pub use authn::sessions::Sessions;
pub use authz::guard::Guard;
pub use project_tokens::ProjectTokens;
pub use request::{CallFacts, ClientInfo};
pub use surface::Surface;
