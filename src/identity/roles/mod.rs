//! Granted roles, and the limit on the roles that a caller may grant.

pub(in crate::identity) mod ceiling;
pub mod grants;
