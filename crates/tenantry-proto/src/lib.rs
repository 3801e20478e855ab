//! What `transcoder-build` generates: from `proto/` messages, services, REST routes, JSON and guards; from
//! `third_party/proto/` the standard services of gRPC and the details of its errors.
#![allow(missing_docs, clippy::all, rustdoc::all)]

pub mod codec;

mod generated {
    include!(concat!(env!("OUT_DIR"), "/transcoder.rs"));
}

// No REST, so the tables of routes and documents that are generated are not used.
#[allow(dead_code, unused_variables)]
mod standard {
    include!(concat!(env!("OUT_DIR"), "/standard/transcoder.rs"));
}

pub use generated::{OPENAPI, google, tenantry::*};
pub use standard::grpc;

/// The encoded `FileDescriptorSet` of all our files, custom options included; reflection and tests read it.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The encoded `FileDescriptorSet` of `grpc.health`, `grpc.reflection` and `google.rpc`.
pub const STANDARD_DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/standard/descriptors.bin"));

/// The domain of our reasons in `google.rpc.ErrorInfo`.
pub const ERROR_DOMAIN: &str = "tenantry";
