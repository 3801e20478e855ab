//! Tenantry: one control plane for multi-tenant platforms.
//!
//! Layers, lowest first; a file uses only modules of lower layers: [`proto`], [`base`], then the store and the
//! providers, the jobs, the areas of the domain, `auth`, `api`, `server`, `cli`. See `docs/architecture.md`.

// These macros panic if standard output is closed; `cli::output` does not.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod access;
pub mod api;
pub mod audit;
pub mod auth;
pub mod base;
pub mod cli;
pub mod controlplane;
pub mod edge;
pub mod enrollment;
pub mod entitlements;
pub mod fleet;
pub mod identity;
pub mod jobs;
pub mod manager;
pub mod messaging;
pub mod openbao;
pub mod operations;
pub mod policy;
pub mod providers;
pub mod server;
pub mod spc;
pub mod store;
pub mod streams;
pub mod tenants;
pub mod trust;
pub mod warehouse;
pub mod zerotrust;

/// The generated protos and the table of permissions.
pub use tenantry_proto as proto;
