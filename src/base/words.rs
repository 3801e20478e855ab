//! Replaces the messages of errors from other modules by those of an area.

use std::borrow::Cow;

use super::{
    error::{Reason, Result},
    names::MAX_LEN,
};

/// Replaces the message of errors with a certain reason.
pub trait Worded {
    /// The same result; an error with the reason gets the message `text`.
    fn worded(self, reason: Reason, text: impl Into<Cow<'static, str>>) -> Self;
}

impl<T> Worded for Result<T> {
    fn worded(self, reason: Reason, text: impl Into<Cow<'static, str>>) -> Self {
        self.map_err(|mut error| {
            if error.reason == reason {
                error.message = text.into();
            }
            error
        })
    }
}

/// The part of a caller's text that a response repeats: at most the length of a name.
pub fn quoted(text: &str) -> &str {
    text.char_indices().nth(MAX_LEN).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_repeats_at_most_the_length_of_a_name() {
        assert_eq!(quoted("acme"), "acme");
        assert_eq!(quoted(&"ä".repeat(MAX_LEN)), "ä".repeat(MAX_LEN));
        assert_eq!(quoted(&"ä".repeat(MAX_LEN + 1)), "ä".repeat(MAX_LEN));
    }
}
