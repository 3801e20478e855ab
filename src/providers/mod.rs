//! Other systems: databases, secret stores, identity providers, and whatever else is reached over the network.
//!
//! A provider is three things: a trait that says what we need of the system in our terms, the real implementation, and a fake
//! for tests that answers what was recorded from the real one. It is made once, at the start of a server, and passed to the
//! operations and jobs that use it; its errors are ours, and the text of the other system goes to the log.
//!
//! Everything that speaks HTTP to an address from a setting or a caller goes through [`egress`].
//!
//! No provider is called inside a write ([`crate::store::in_write`]): on SQLite all other writes would wait for the other system.
//! A call that needs one records what it wants and starts an operation (`src/operations/`), whose steps call the provider.

pub mod egress;
