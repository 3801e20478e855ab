//! How far a caller reaches on methods with a permission for what is its own and another one for everything.

use http::Extensions;
use tonic::Status;

/// Which resources a call may touch. The guard leaves it in the extensions of a request whose method has the option `all`,
/// and generated code hands it to the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Only the caller's own.
    Own,
    /// Every one, as far as other rules allow.
    All,
}

impl Reach {
    /// The reach that the guard left. A guard that left none did not decide, and nothing runs then.
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
    fn without_a_decision_nothing_runs() {
        let mut extensions = Extensions::new();
        assert_eq!(Reach::of(&extensions).unwrap_err().code(), Code::Internal);
        for reach in [Reach::Own, Reach::All] {
            extensions.insert(reach);
            assert_eq!(Reach::of(&extensions).unwrap(), reach);
        }
    }
}
