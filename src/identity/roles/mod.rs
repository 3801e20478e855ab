//! Roles beside the one that an account was created with: grants, and how high a role a caller may grant.

pub(in crate::identity) mod ceiling;
pub mod grants;
