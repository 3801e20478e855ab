//! What the layers before authentication leave in the extensions of a request.

use std::{fmt, sync::Arc, time::Instant};

/// Id of a request, as answers and the log show it. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub Arc<str>);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// When the caller stops waiting, and with it the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(pub Instant);
