//! The local part of an address: quoted or not, it is the same mailbox (RFC 5321, section 4.1.2).

use crate::nfc;

/// The canonical form of a local part: without quotes if it needs none, otherwise with as few backslashes as possible.
/// The input must be a valid local part in NFC.
pub fn local_part(text: &str) -> String {
    let Some(content) = unquoted(text) else { return text.to_owned() };
    if is_dot_atom(&content) {
        return content;
    }
    let mut quoted = String::with_capacity(content.len() + 2);
    quoted.push('"');
    for c in content.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// The form in which local parts are compared: canonical, and lower case. Not folded: mailboxes whose letters fold
/// alike, such as `ss` and the sharp s, are different.
pub fn local_key(text: &str) -> String {
    nfc(&local_part(&nfc(text)).to_lowercase())
}

/// The content of a quoted string.
fn unquoted(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut content = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        content.push(if c == '\\' { chars.next()? } else { c });
    }
    Some(content)
}

/// Atoms separated by dots (RFC 5321, section 4.1.2; RFC 6531, section 3.3 adds all non-ASCII characters).
fn is_dot_atom(text: &str) -> bool {
    let atext = |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(atext))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unnecessary_quotes_do_not_change_the_mailbox() {
        for (text, form) in [
            ("bob", "bob"),
            ("\"bob\"", "bob"),
            ("\"b\\ob\"", "bob"),
            ("\"a.b\"", "a.b"),
            ("\"a..b\"", "\"a..b\""),
            ("\".a\"", "\".a\""),
            ("\"a b\"", "\"a b\""),
            ("\"a\\ b\"", "\"a b\""),
            ("\"a\\\"b\"", "\"a\\\"b\""),
            ("\"\\a\\\\\"", "\"a\\\\\""),
            ("\"\"", "\"\""),
            ("\"j\u{fc}rgen\"", "j\u{fc}rgen"),
        ] {
            assert_eq!(local_part(text), form, "{text}");
            assert_eq!(local_part(form), form, "{text}");
        }
    }

    #[test]
    fn keys_have_one_case_and_one_normal_form() {
        assert_eq!(local_key("JOSE\u{301}"), "jos\u{e9}");
        assert_eq!(local_key("\"Bob\""), "bob");
        assert_eq!(local_key("bo\u{212a}"), "bok");
        assert_ne!(local_key("stra\u{df}e"), local_key("strasse"));
    }
}
