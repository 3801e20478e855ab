//! What `transcoder-build` generates from `proto/`: messages, services, REST routes, JSON, guards.
#![allow(missing_docs, clippy::all, rustdoc::all)]

mod generated {
    include!(concat!(env!("OUT_DIR"), "/transcoder.rs"));
}

pub use generated::{OPENAPI, google, tenantry::*};

/// The encoded `FileDescriptorSet` of all files, custom options included; reflection and tests read it.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
