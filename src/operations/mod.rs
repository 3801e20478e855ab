//! Operations: long work that a call starts, and that continues after a disconnect of the caller or a crash of the server.
//!
//! A call starts an operation inside the transaction of its own change ([`start`]), so there is no change without its operation
//! and no operation without an audit event. The operation is a row with its steps, their progress and the last failure. Any
//! server runs it, under a fenced lease; if the server dies, another one continues with the first step that is not recorded as
//! done. Therefore steps must be idempotent: each checks what exists and does only what is missing.
//!
//! What an operation does is defined by an [`OperationKind`] in the area that it belongs to; `src/server/operation_kinds.rs`
//! lists them. A server skips operations whose kind or next step it does not know; a newer server will run them.
//!
//! A job, in contrast, does periodic work that no call started, and has no outcome for a caller.

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
mod source;
mod start;
mod turn;
mod wait;
mod watch;
mod worker;

pub use cancel::cancel;
pub use dispatch::RunOperations;
pub use kind::{OperationKind, StepName};
pub use kinds::Kinds;
pub use operation::{Failure, Operation, State, Step};
pub use queries::{Filter, get, has_live, list, live, live_named, not_found};
pub use retention::PruneOperations;
pub use source::OperationSource;
pub use start::{hasten, start};
pub use turn::Turn;
pub use wait::{LONGEST_WAIT, wait, wait_until};
pub use watch::until_ended;
