//! Required fields: a request without one is refused before its service sees it, over gRPC and REST alike.

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::json::Message;

/// The reason for a missing required field.
const REASON: &str = "FIELD_REQUIRED";

/// The required fields that are missing from a message, as paths in proto names.
#[derive(Debug, Default)]
pub struct Missing {
    prefix: Vec<&'static str>,
    paths: Vec<String>,
}

impl Missing {
    /// Checks a required field.
    pub fn field(&mut self, name: &'static str, given: bool) {
        if !given {
            let outer = self.prefix.iter().copied();
            self.paths.push(outer.chain([name]).collect::<Vec<_>>().join("."));
        }
    }

    /// Checks the required fields of a message in a field, if it is set.
    pub fn within<M: Message>(&mut self, name: &'static str, message: Option<&M>) {
        if let Some(message) = message {
            self.prefix.push(name);
            message.missing(self);
            self.prefix.pop();
        }
    }
}

/// Refuses a message without its required fields: one violation for each field, with a reason of the domain.
pub fn require<M: Message>(message: &M, domain: &str) -> Result<(), Status> {
    let mut missing = Missing::default();
    message.missing(&mut missing);
    if missing.paths.is_empty() { Ok(()) } else { Err(refusal(&missing.paths, domain)) }
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
