//! Sessions: the records of active sessions, and the revocations that end them.

pub mod records;
pub mod revocations;
pub mod ungranted;
