//! Serves gRPC services as REST.
//!
//! Code that `transcoder-build` generates from protobuf files calls this crate. It matches a request with a rule of
//! `google.api.http`, asks the [`Guard`], binds path, query and body to the request message, calls the tonic service as
//! a plain trait method, and writes the response as JSON with the options of its surface. It contains no service of its
//! own.

pub mod actions;
mod aip193;
#[cfg(feature = "compression")]
mod claim;
pub mod compress;
mod dialect;
mod dialects;
mod failure;
pub mod fields;
pub mod grpc;
mod guard;
pub mod handler;
pub mod json;
mod metadata;
mod method;
pub mod once;
pub mod pages;
mod paging;
pub mod percent;
mod reach;
mod required;
pub mod rest;
pub mod router;
mod service;
pub mod surfaces;

pub use actions::{Action, Actions};
pub use aip193::Aip193;
pub use claim::Claim;
pub use dialect::{Dialect, Rendered};
pub use dialects::Dialects;
pub use failure::{Failure, Origin, RequestId, Violation, status_of};
pub use guard::{Guard, Open};
pub use json::Missing;
pub use method::{AuditRule, AuthRule, MethodInfo, Permission, Surface, TenantRule, TrailingSlash};
pub use paging::{PagedRequest, PagedResponse};
pub use reach::Reach;
pub use required::require;
pub use rest::{CallOutcome, Deadline, Matched, Rest, RestBuilder, etag_mismatch};
pub use service::{Grpc, GrpcService, Served, Service};
pub use surfaces::SurfacePaths;

/// Re-exports for generated code, so that a crate with generated code depends only on this crate and tonic.
#[doc(hidden)]
pub mod generated {
    pub use async_trait::async_trait;
    pub use futures_core::Stream;
    pub use http;
    pub use serde;
    pub use tonic;
}
