//! Clients of other systems: databases, secret stores, identity providers and other network services.
//!
//! A provider consists of a trait with the functions that we need, in our terms; the real implementation; and a fake for tests,
//! which replays recorded responses of the real system. It is created once, when a server starts, and passed to the operations
//! and jobs that use it. Its errors have our texts; the texts of the other system are only in the log.
//!
//! The exception is [`provisioner`], whose tests start real servers.
//!
//! All HTTP requests to an address from a setting or a caller go through [`egress`].
//!
//! Providers must not be called inside a write ([`crate::store::in_write`]): on SQLite all other writes would wait for the other
//! system. A call that needs a provider starts an operation (`src/operations/`), whose steps call it.

pub mod egress;
pub mod provisioner;
