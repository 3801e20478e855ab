//! Which passwords users may have (zero-trust contract, section 4.2).

use zxcvbn::{Score, zxcvbn};

use super::passwords::{Password, normalized, weak};
use crate::base::{Error, Result, Secret, text};

/// Least length, in characters.
const MIN: usize = 12;
/// Greatest length, in characters.
const MAX: usize = 256;

/// A password that keeps the policy: 12 to 256 characters, not one of `names`, and not easy to guess. What is easy to
/// guess is estimated from lists of the most common passwords, names and words, and from patterns such as repetitions and
/// sequences; a million guesses are not enough.
pub(super) async fn checked(text: Secret<String>, names: Vec<String>) -> Result<Password> {
    let text = normalized(&text);
    if !(MIN..=MAX).contains(&text.expose().chars().count()) {
        return Err(weak("a password has 12 to 256 characters"));
    }
    let folded = text::fold(text.expose());
    if names.iter().any(|name| text::fold(name) == folded) {
        return Err(weak("a password may not be the name or the address of its user"));
    }
    // A long text takes milliseconds.
    let judged = tokio::task::spawn_blocking(move || (is_easy(text.expose(), &names), text)).await;
    match judged.map_err(Error::internal)? {
        (true, _) => Err(weak("the password is too easy to guess")),
        (false, text) => Ok(Password::kept(text)),
    }
}

fn is_easy(password: &str, names: &[String]) -> bool {
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    zxcvbn(password, &names).score() < Score::Two
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(text: &str) -> Option<String> {
        let names = vec!["ada.lovelace".to_owned(), "ada.lovelace@example.com".to_owned()];
        checked(Secret::new(text.to_owned()), names).await.err().map(|error| error.to_string())
    }

    #[tokio::test]
    async fn the_policy_refuses_what_is_short_long_a_name_or_easy() {
        let refusal = async |text: &str| refused(text).await.unwrap_or_default();
        assert!(refusal("short-one!1").await.contains("12 to 256"));
        assert!(refusal(&"x1".repeat(129)).await.contains("12 to 256"));
        assert!(refusal("Ada.Lovelace").await.contains("name"));
        assert!(refusal("\u{ff21}da.Lovelace").await.contains("name"), "in whatever normal form");
        assert!(refusal(&"o\u{308}".repeat(11)).await.contains("12 to 256"), "measured in its normal form");
        for easy in
            ["password1234", "123456789012", "aaaaaaaaaaaa", "qwertyuiop[]", "passwordpassword", "ada.lovelace1"]
        {
            assert!(refusal(easy).await.contains("easy"), "{easy}");
        }
        for good in ["correct horse battery staple", "zu viele Köche", "tR0ub4dor&3-plus"] {
            assert_eq!(refused(good).await, None, "{good}");
        }
    }
}
