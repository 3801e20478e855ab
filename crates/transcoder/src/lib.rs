//! Serves gRPC services as REST.
//!
//! Code that `transcoder-build` generates from protobuf files calls this crate: it matches a request with a rule of
//! `google.api.http`, asks the [`Guard`], binds path, query and body to the request message, calls the tonic service as
//! a plain trait method, and writes the answer as JSON in the habits of its surface. It knows no service of its own.

pub mod guard;
pub mod json;
mod method;

pub use guard::{Claim, Guard};
pub use method::{AuditRule, AuthRule, MethodInfo, Permission, Surface, TenantRule, TrailingSlash};
