//! Background jobs: named work that runs periodically or on demand, independent of any call.
//!
//! A [`Job`] takes no input and is idempotent: each run finds out what is left to do, so a run that is missed, interrupted or
//! repeated does no harm. The runner decides when and on which server the job runs, and handles failures; the job does one
//! bounded batch of work and reports the result. Operators see its [`Status`]. `src/server/jobs.rs` lists all jobs of a server.
//!
//! Jobs that one server runs for all servers are fenced: [`Run::maintain`] checks the [`Lease`] in the transaction of the work,
//! so a server that has lost the lease cannot commit.

mod coordination;
mod job;
mod lease;
pub mod record;
mod run;
mod runner;
#[cfg(test)]
mod runner_tests;
mod schedule;
mod set;
mod status;
pub mod store;

pub use job::{Job, Placement, Report};
pub use lease::{Lease, Leases};
pub use run::Run;
pub use schedule::{Schedule, backoff};
pub use set::{Jobs, follow, holder};
pub use status::{Failure, State, Status, StatusBoard};
