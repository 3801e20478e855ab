//! Errors as operators see them. A caller of the server never gets the inner cause, which goes to the log. The user of
//! a command has no log and needs the cause.

use std::error::Error as StdError;

use crate::base::Error;

/// An error with its whole chain of causes, on one line if they are single lines.
pub(super) fn text(error: &anyhow::Error) -> String {
    let mut text = format!("{error:#}");
    for link in error.chain() {
        if let Some(cause) = link.downcast_ref::<Error>().and_then(|error| error.cause.as_deref()) {
            append(&mut text, cause);
        }
    }
    text
}

/// Appends a cause and its causes. Many errors already include their cause in their text; it is not repeated.
fn append(text: &mut String, cause: &(dyn StdError + 'static)) {
    let mut next = Some(cause);
    while let Some(cause) = next {
        let told = cause.to_string();
        if !text.contains(&told) {
            text.push_str(": ");
            text.push_str(&told);
        }
        next = cause.source();
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn operators_see_the_inner_cause_once() {
        let cause = std::io::Error::other("no such table: accounts");
        let error: anyhow::Result<()> = Err(Error::internal(cause)).context("cannot look");
        assert_eq!(text(&error.unwrap_err()), "cannot look: internal error: no such table: accounts");
        let told = Error::internal("twice").caused_by("internal error");
        assert_eq!(text(&told.into()), "internal error");
    }
}
