//! Authorization: what a caller may call, and on which tenant.

pub mod guard;
mod roles;
