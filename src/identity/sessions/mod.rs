//! Sessions: the records of those that an account has, and the revocations that end them.

pub mod records;
pub mod revocations;
