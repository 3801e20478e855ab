//! Tenantry: one control plane for multi-tenant platforms.
//!
//! Floors, lowest first; a file uses only what stands below it: [`proto`], [`base`], then the store and the providers,
//! the jobs, the areas of the domain, `auth`, `api`, `server`, `cli`. `docs/architecture.md` tells the whole house.

// These macros panic where the reader is gone; `cli::output` does not.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod api;
pub mod audit;
pub mod auth;
pub mod base;
pub mod cli;
pub mod controlplane;
pub mod entitlements;
pub mod identity;
pub mod jobs;
pub mod manager;
pub mod messaging;
pub mod server;
pub mod store;
pub mod streams;
pub mod tenants;
pub mod warehouse;
pub mod zerotrust;

/// What is generated from the protos, and the table of permissions.
pub use tenantry_proto as proto;
