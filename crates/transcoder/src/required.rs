//! Required fields: a request without one is refused before its service sees it, over gRPC and REST alike.

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::json::{Message, Missing};

/// The reason for a missing required field.
const REASON: &str = "FIELD_REQUIRED";

/// Refuses a message that lacks required fields: one violation a field, under a reason of the domain.
pub fn require<M: Message>(message: &M, domain: &str) -> Result<(), Status> {
    let mut missing = Missing::default();
    message.missing(&mut missing);
    if missing.paths().is_empty() { Ok(()) } else { Err(refusal(missing.paths(), domain)) }
}

/// The refusal of a request that lacks these fields.
pub(crate) fn refusal(paths: &[String], domain: &str) -> Status {
    let mut details = ErrorDetails::with_error_info(REASON, domain, [] as [(String, String); 0]);
    for path in paths {
        details.add_bad_request_violation(path, "required");
    }
    let text = format!("missing: {}", paths.join(", "));
    Status::with_error_details(Code::InvalidArgument, text, details)
}
