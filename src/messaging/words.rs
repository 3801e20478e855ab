//! The area's words for errors that others raise.

use crate::base::{Result, error::Reason};

/// Gives an error of a certain reason another text.
pub(super) trait Worded {
    /// The same result; an error of the reason says `text`.
    fn worded(self, reason: Reason, text: &'static str) -> Self;
}

impl<T> Worded for Result<T> {
    fn worded(self, reason: Reason, text: &'static str) -> Self {
        self.map_err(|mut error| {
            if error.reason == reason {
                error.message = text.into();
            }
            error
        })
    }
}
