//! The names of projects and apps (manager contract, decisions).

use tenantry_text::Refused;

use crate::base::{Error, Result, error::Reason, text};

/// Most characters of a name.
const MOST: usize = 100;

/// Checks the name of a project or an app. It is kept as it was sent.
pub(super) fn check(name: &str) -> Result<()> {
    let invalid = |text: String| Err(Error::invalid(Reason::InvalidArgument, "name", text));
    if name.trim() != name {
        return invalid("a name must not begin or end with white space".to_owned());
    }
    match text::name(name) {
        Ok(normal) if (1..=MOST).contains(&normal.chars().count()) => Ok(()),
        Ok(_) => invalid(format!("a name must have 1 to {MOST} characters")),
        Err(refused @ Refused { .. }) => invalid(refused.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_to_a_hundred_visible_characters() {
        for good in ["web", "a b", "a/b", "\u{fc}ber \u{1f600}", "e\u{301}", ": {yaml}", &"\u{e9}".repeat(100)] {
            assert!(check(good).is_ok(), "{good:?}");
        }
        for bad in ["", " ", " a", "a ", "a\n", "a\u{a0}", "a\tb", "a\0b", "a\u{202e}b", "a\u{200b}b", &"x".repeat(101)]
        {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }
}
