//! Granted roles, and the limit on the roles that a caller may grant.

pub mod grants;
