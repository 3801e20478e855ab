//! Names for people that things of a tenant have: groups, API keys.

use crate::base::{Error, Result, error::Reason};

/// Longest name, in characters (zero-trust contract, sections 4.3 and 4.7).
const MAX: usize = 64;

/// A name without the space around it: 1 to 64 characters, none of them a control character.
pub(super) fn read(text: &str) -> Result<String> {
    let text = text.trim();
    let good = (1..=MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    let message = format!("a name has 1 to {MAX} characters");
    if good { Ok(text.to_owned()) } else { Err(Error::invalid(Reason::InvalidArgument, "name", message)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        assert_eq!(read("  Ops Team ").unwrap(), "Ops Team");
        assert!(read(&"ä".repeat(64)).is_ok());
        for bad in ["", "   ", "a\0b", "a\nb", &"x".repeat(65)] {
            assert_eq!(read(bad).unwrap_err().violations[0].field, "name", "{bad:?}");
        }
    }
}
