//! Display names of groups and API keys.

use crate::base::{Result, text};

/// Maximum length, in characters (zero-trust contract, sections 4.3 and 4.7).
const MAX: usize = 64;

/// Normalizes a name of 1 to 64 characters.
pub(in crate::identity) fn read(text: &str) -> Result<String> {
    text::name_of("name", text, 1..=MAX, "a name must have 1 to 64 characters")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        assert_eq!(read("  Ops Team ").unwrap(), "Ops Team");
        assert!(read(&"ä".repeat(64)).is_ok());
        for bad in ["", "   ", "a\0b", "a\nb", "\u{200b}", "\u{3164}", "\u{2800}", "Acme\u{202e}emca", &"x".repeat(65)]
        {
            assert_eq!(read(bad).unwrap_err().violations[0].field, "name", "{bad:?}");
        }
    }
}
