//! Background jobs: named work that no call waits for, done again and again.
//!
//! A [`Job`] takes no input and is idempotent: it finds out by itself what is left to do, so that a run that was missed, cut
//! off or done twice does no harm. The [`runner`] decides when it runs, on which server, and what becomes of a failure; the
//! job does one bounded piece of work and reports what it did. What operators see of it is its [`Status`]. All jobs of a
//! server are listed in one place, `src/server/jobs.rs`.
//!
//! Work of which one server at a time does its part is fenced: [`Run::maintain`] holds the job's [lease](Lease) inside the
//! transaction of the work, so a server that was too slow and lost the lease commits nothing.

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
pub use schedule::Schedule;
pub use set::{Jobs, follow};
pub use status::{Board, Failure, State, Status};
