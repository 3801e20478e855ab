//! The reach of a caller on methods with two permissions: one for the caller's own resources, another one for all.

use http::Extensions;
use tonic::Status;

/// The resources that a call may access. If a method has the option `all`, the guard puts this into the extensions of the request,
/// and generated code passes it to the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Only the caller's own.
    Own,
    /// All that other rules allow.
    All,
}

impl Reach {
    /// The reach that the guard decided. Fails if it decided none, so that the handler does not run.
    #[doc(hidden)]
    pub fn of(extensions: &Extensions) -> Result<Self, Status> {
        extensions.get::<Self>().copied().ok_or_else(|| Status::internal("internal error"))
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn without_a_decision_of_the_guard_the_call_fails() {
        let mut extensions = Extensions::new();
        assert_eq!(Reach::of(&extensions).unwrap_err().code(), Code::Internal);
        for reach in [Reach::Own, Reach::All] {
            extensions.insert(reach);
            assert_eq!(Reach::of(&extensions).unwrap(), reach);
        }
    }
}
