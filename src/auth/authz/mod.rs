//! Authorization: what a caller may call, and on which tenant.

pub mod guard;
pub mod roles;
