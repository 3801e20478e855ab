//! Operations: long work that a call asks for, that goes on when the caller has left, and that survives a crash.
//!
//! A call starts one inside the transaction that records what it wants ([`start`]), so there is no request without its
//! operation and no operation without its audit event. The operation is a row: its steps, what they have done, and why the
//! last attempt failed. Any server runs it, under a fenced lease of its own; when a server dies, another one goes on with
//! the step that was not recorded as done. So steps are idempotent: each looks at what is there and does what is missing.
//!
//! What an operation does is an [`OperationKind`], in the area that it belongs to; `src/server/operations.rs` lists them.
//! A server leaves operations of kinds or steps alone that it does not know: a newer server will run them.
//!
//! A job does periodic work that nobody asked for and has no outcome for a caller; an operation has one, and an end.

mod backoff;
mod cancel;
mod dispatch;
mod due;
mod kind;
mod kinds;
mod operation;
mod queries;
mod record;
mod retention;
mod retry;
mod start;
mod turn;
mod wait;
mod worker;

pub use cancel::cancel;
pub use dispatch::RunOperations;
pub use kind::{OperationKind, StepName};
pub use kinds::Kinds;
pub use operation::{Failure, Operation, State, Step};
pub use queries::{Filter, get, has_live, list};
pub use retention::PruneOperations;
pub use start::start;
pub use turn::Turn;
pub use wait::{LONGEST_WAIT, wait};
