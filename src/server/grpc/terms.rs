//! What a server may choose of the rules of the protocol.

use tonic::Status;

use crate::base::Error;

/// What a server may choose of the rules.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Longest message of a call in bytes, compressed or not.
    pub limit: usize,
    /// Whether a refusal has its reason in `google.rpc.ErrorInfo`.
    pub details: bool,
}

impl Terms {
    /// A refusal as the caller gets it.
    pub(super) fn status(self, refusal: Error) -> Status {
        if self.details { refusal.to_status() } else { Status::new(refusal.kind, refusal.message) }
    }
}
