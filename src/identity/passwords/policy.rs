//! Password policy for users (zero-trust contract, section 4.2) and for platform accounts, whose passwords
//! protect more and must be harder to guess.

use zxcvbn::{Score, zxcvbn};

use super::{Password, normalized, weak};
use crate::base::{Error, Result, Secret, text};

/// Minimum length, in characters.
const MIN: usize = 12;
/// Maximum length, in characters.
const MAX: usize = 256;

/// Checks a password against the policy: 12 to 256 characters, not one of `names`, and not easy to guess. It is
/// checked as it was typed and in normal form: one character can have a normal form of many, and the reverse.
/// Strength is estimated from lists of common passwords, names and words, and from patterns such as repetitions
/// and sequences; a password that takes only a million guesses is refused.
pub(in crate::identity) async fn checked(text: Secret<String>, names: Vec<String>) -> Result<Password> {
    harder_than(Score::One, text, names).await
}

/// The same for a platform account: a password that takes only a hundred million guesses is refused.
pub(in crate::identity) async fn checked_for_platform(text: Secret<String>, names: Vec<String>) -> Result<Password> {
    harder_than(Score::Two, text, names).await
}

async fn harder_than(score: Score, text: Secret<String>, names: Vec<String>) -> Result<Password> {
    let typed = text;
    let text = normalized(&typed);
    let (keystrokes, length) = (typed.expose().chars().count(), text.expose().chars().count());
    if keystrokes.min(length) < MIN || length > MAX {
        return Err(weak("a password must have 12 to 256 characters"));
    }
    // In the same normal form: compatibility characters of a name, such as full-width letters, are kept in the name.
    let names: Vec<_> = names.iter().map(|name| text::password(name)).collect();
    let folded = text::fold(text.expose());
    if names.iter().any(|name| text::fold(name) == folded) {
        return Err(named());
    }
    // A long text takes milliseconds.
    let estimate = tokio::task::spawn_blocking(move || {
        let forms = [text.expose(), typed.expose()];
        let forms = if forms[0] == forms[1] { &forms[..1] } else { &forms };
        (forms.iter().any(|form| strength(form, &names) <= score), text)
    });
    let estimate = estimate.await;
    match estimate.map_err(Error::internal)? {
        (true, _) => Err(weak("the password is too easy to guess")),
        (false, text) => Ok(Password::kept(text)),
    }
}

/// The password is the name or the address of its user.
pub(in crate::identity) fn named() -> Error {
    weak("a password must not be the name or email address of its user")
}

fn strength(password: &str, names: &[String]) -> Score {
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    zxcvbn(password, &names).score()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(text: &str) -> Option<String> {
        let names = vec!["ada.lovelace".to_owned(), "ada.lovelace@example.com".to_owned()];
        checked(Secret::new(text.to_owned()), names).await.err().map(|error| error.to_string())
    }

    #[tokio::test]
    async fn the_policy_refuses_short_long_named_and_weak_passwords() {
        let refusal = async |text: &str| refused(text).await.unwrap_or_default();
        assert!(refusal("short-one!1").await.contains("12 to 256"));
        assert!(refusal(&"x1".repeat(129)).await.contains("12 to 256"));
        assert!(refusal("Ada.Lovelace").await.contains("name"));
        assert!(refusal("\u{ff21}da.Lovelace").await.contains("name"), "in every normal form");
        assert!(refusal(&"o\u{308}".repeat(11)).await.contains("12 to 256"), "measured in its normal form");
        assert!(refusal("\u{fdfa}").await.contains("12 to 256"), "and as it is typed");
        assert!(refusal("\u{fdfa}abcdefghij").await.contains("12 to 256"));
        for easy in
            ["password1234", "123456789012", "aaaaaaaaaaaa", "qwertyuiop[]", "passwordpassword", "ada.lovelace1"]
        {
            assert!(refusal(easy).await.contains("easy"), "{easy}");
        }
        for good in ["correct horse battery staple", "zu viele Köche", "tR0ub4dor&3-plus"] {
            assert_eq!(refused(good).await, None, "{good}");
        }
    }

    #[tokio::test]
    async fn a_name_with_compatibility_characters_is_not_a_password() {
        for name in [
            "\u{ff2d}\u{ff41}\u{ff52}\u{ff49}\u{ff41} Schr\u{f6}dinger",
            "Maria\u{3000}Schroedinger",
            "\u{ff4d}aria Schroedinger",
            "Schroedinger\u{b2} Lab",
            "Fu\u{fb02}\u{fb01}eld Research",
        ] {
            for typed in [name.to_owned(), text::password(name)] {
                for check in [true, false] {
                    let (typed, names) = (Secret::new(typed.clone()), vec![name.to_owned()]);
                    let checked =
                        if check { checked(typed, names).await } else { checked_for_platform(typed, names).await };
                    assert!(checked.unwrap_err().to_string().contains("must not be the name"), "{name}");
                }
            }
        }
    }

    #[tokio::test]
    async fn the_platform_has_the_strictest_policy() {
        let refused = async |text: &str| {
            let names = vec!["ops".to_owned()];
            checked_for_platform(Secret::new(text.to_owned()), names).await.is_err()
        };
        for easy in ["12345678", "password", "admin123", "opsopsops", "short-one!1", "opsopsopsops"] {
            assert!(refused(easy).await, "{easy}");
        }
        // Few keystrokes, but a long normal form that no list contains.
        for (ligature, times) in [("\u{fdfa}", 1), ("\u{fdfa}", 12), ("\u{fdfa}", 24), ("\u{337f}", 12)] {
            assert!(refused(&ligature.repeat(times)).await, "{ligature} {times}");
        }
        // The reverse: unusual letters whose normal form is a common word.
        for disguised in ["\u{ff50}\u{ff41}ssword1234", "\u{24d0}\u{24d1}cdefghijklm"] {
            assert!(refused(disguised).await, "{disguised}");
        }
        for medium in ["sunshine#1988", "Password-2024"] {
            let user = checked(Secret::new(medium.to_owned()), Vec::new()).await;
            assert!(user.is_ok() && refused(medium).await, "{medium} is good enough for a user alone");
        }
        for good in ["correct horse battery staple", "zu viele Köche 17", "tR0ub4dor&3-plus"] {
            assert!(!refused(good).await, "{good}");
        }
    }
}
