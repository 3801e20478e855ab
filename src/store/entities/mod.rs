//! The tables, one file each. Times are [`Stamp`](super::Stamp)s; lists and objects are JSON text.
//!
//! Tables of a tenant's own rows are visible to the store alone: everything else reaches them through a scope.

pub mod accounts;
pub mod audit_events;
pub mod clusters;
pub mod derived_names;
pub mod leases;
pub(in crate::store) mod messaging_tenants;
pub(in crate::store) mod namespaces;
pub mod outbox;
pub mod released_names;
pub mod revoked_tokens;
pub mod tenants;
