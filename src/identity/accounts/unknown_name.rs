//! Names of accounts that do not exist.

use super::email::Email;
use crate::base::{IdKind, names::fold};

/// Maximum length of what names an account, in bytes.
pub const LONGEST_NAME: usize = 320;

/// Normalizes the name as a lookup would, so that the delays do not reveal that there is no such account.
pub fn normal(name: &str) -> String {
    let name = name.trim();
    // No account has such a name, and its normal form would take long.
    if name.len() > LONGEST_NAME {
        return name.to_owned();
    }
    match (IdKind::User.read(name), Email::read(name)) {
        (Some(id), _) => IdKind::User.show(id),
        (None, Ok(email)) => email.key().to_owned(),
        (None, Err(_)) => fold(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_possible_name_is_normalized() {
        let long = "E\u{301}".repeat(LONGEST_NAME);
        assert_eq!(normal(&long), long);
        assert_eq!(normal(" ADA "), "ada");
    }
}
