//! Normalizes and validates text that users enter. The rules are those of [`tenantry_text`]; `docs/security.md`
//! describes them.

use std::ops::RangeInclusive;

pub use tenantry_text::{
    Refused, address, cleaned_name, code, fold, local_key, local_part, name, password, search_key,
};

use super::{Error, Result, error::Reason};

/// A display name with a number of characters in `length`, in its normal form. Errors name `field`; `rule` is the text
/// for a wrong length.
pub fn name_of(field: &str, text: &str, length: RangeInclusive<usize>, rule: &str) -> Result<String> {
    let invalid = |message: String| Error::invalid(Reason::InvalidArgument, field, message);
    let name = name(text).map_err(|refused| invalid(refused.to_string()))?;
    if length.contains(&name.chars().count()) { Ok(name) } else { Err(invalid(rule.to_owned())) }
}

/// Multi-line text in NFC, of at most `most` characters. It is only displayed and never searched, so only control
/// characters are refused, except line feeds and tabs. Errors name `field`; `rule` is the text for a wrong length.
pub fn prose(field: &str, text: &str, most: usize, rule: &str) -> Result<String> {
    let invalid = |message: String| Error::invalid(Reason::InvalidArgument, field, message);
    let text = tenantry_text::prose(text).map_err(|refused| invalid(refused.to_string()))?;
    if text.chars().count() <= most { Ok(text) } else { Err(invalid(rule.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_measured_in_its_normal_form() {
        assert_eq!(name_of("name", &"e\u{301}".repeat(3), 1..=3, "long").unwrap(), "\u{e9}".repeat(3));
        assert_eq!(name_of("name", " \u{a0}", 1..=3, "long").unwrap_err().to_string(), "long");
        let refused = name_of("name", "a\u{202e}b", 1..=3, "long").unwrap_err();
        assert!(refused.to_string().contains("U+202E"), "{refused}");
        assert_eq!(refused.violations[0].field, "name");
        let control = name_of("name", "a\tb", 1..=3, "long").unwrap_err();
        assert!(control.to_string().contains("U+0009"), "{control}");
    }

    #[test]
    fn text_may_have_several_lines() {
        assert_eq!(prose("reason", "a\ne\u{301}", 3, "long").unwrap(), "a\n\u{e9}");
        assert!(prose("reason", "a\0", 3, "long").unwrap_err().to_string().contains("U+0000"));
        assert_eq!(prose("reason", "abcd", 3, "long").unwrap_err().to_string(), "long");
    }
}
