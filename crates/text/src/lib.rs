//! Text that users enter: its normal form, how it is compared, and which characters names and addresses may have.
//!
//! Unicode's data come from the ICU4X crates, and from `caseless` for case folding. Names and addresses have only
//! assigned characters, whose normal form and folding are stable in later versions of Unicode (Unicode Standard Annex
//! 15, section 3).

mod characters;
mod mailbox;

use caseless::default_case_fold_str;
use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};

pub use characters::Refused;
pub use mailbox::{local_key, local_part};

/// The normal form of a display name: trimmed, every space a U+0020 (RFC 8266, section 2.1), and NFC. Fails for a
/// character that is not allowed in names; see [`Refused`]. The empty name is valid.
pub fn name(text: &str) -> Result<String, Refused> {
    let name = spaced(text);
    characters::check_name(&name)?;
    Ok(name)
}

/// A name that an older version stored, without the characters that are not allowed. It may become empty.
pub fn cleaned_name(text: &str) -> String {
    let mut name = spaced(text);
    while let Err(refused) = characters::check_name(&name) {
        name.remove(refused.at);
        // Characters that were separated before may compose now, or be the first of the name.
        name = spaced(&name);
    }
    name
}

/// The normal form of an email address: trimmed, and NFC (RFC 6532, section 3.1). Fails for a character that is not
/// allowed in addresses; does not check whether the text is an address.
pub fn address(text: &str) -> Result<String, Refused> {
    let address = nfc(text.trim());
    characters::check_address(&address)?;
    Ok(address)
}

/// The form in which a text is compared and searched: ignores case, normal form, the kind and number of spaces, and
/// invisible characters. This is Unicode's canonical caseless matching (Unicode Standard, section 3.13, D145).
pub fn fold(text: &str) -> String {
    let seen: String = text.chars().filter(|c| !characters::is_ignorable(*c)).collect();
    let words = seen.split_whitespace().collect::<Vec<_>>().join(" ");
    let decomposed = DecomposingNormalizerBorrowed::new_nfd().normalize(&words);
    nfc(&default_case_fold_str(&decomposed))
}

/// The text that a search looks in: each part folded, on its own line. Folded texts have no line feed, so a search
/// never matches across two parts.
pub fn search_key<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    parts.into_iter().map(fold).collect::<Vec<_>>().join("\n")
}

/// The normal form of a password: NFKC (NIST SP 800-63B, section 3.1.1.2), so that it is the same on every keyboard.
pub fn password(text: &str) -> String {
    ComposingNormalizerBorrowed::new_nfkc().normalize(text).into_owned()
}

/// A code that somebody reads on one device and types on another, in the form in which it was generated: without the
/// spaces and dashes between its groups, and with digits of any width as ASCII.
pub fn code(text: &str) -> String {
    let apart = |c: char| c.is_whitespace() || characters::is_dash(c) || characters::is_ignorable(c);
    password(text).chars().filter(|c| !apart(*c)).collect()
}

/// Multi-line text in NFC, which is only displayed. Fails for control characters, except line feeds and tabs.
pub fn prose(text: &str) -> Result<String, Refused> {
    let text = nfc(text);
    let refused = text.char_indices().find(|(_, c)| c.is_control() && !matches!(c, '\n' | '\t'));
    refused.map_or(Ok(()), |(at, character)| Err(Refused { character, at }))?;
    Ok(text)
}

/// The text in NFC.
pub fn nfc(text: &str) -> String {
    ComposingNormalizerBorrowed::new_nfc().normalize(text).into_owned()
}

/// The text in NFC, trimmed, with every space a U+0020.
fn spaced(text: &str) -> String {
    let plain: String = text.chars().map(|c| if characters::is_space(c) { ' ' } else { c }).collect();
    nfc(plain.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_in_every_normal_form() {
        assert_eq!(name(" Cafe\u{301} ").unwrap(), "Caf\u{e9}");
        assert_eq!(name("Acme\u{a0}Inc\u{3000}").unwrap(), "Acme Inc");
        assert_eq!(fold("CAFE\u{301}"), fold("caf\u{e9}"));
        assert_eq!(fold("\u{c9}LODIE"), "\u{e9}lodie");
        // `str::to_lowercase` would differ for sharp s, and for a final sigma.
        assert_eq!(fold("STRASSE"), fold("Stra\u{df}e"));
        assert_eq!(fold("\u{39f}\u{394}\u{39f}\u{3a3}"), fold("\u{3bf}\u{3b4}\u{3bf}\u{3c2}"));
        assert_eq!(fold("\u{212a}elvin"), "kelvin");
    }

    #[test]
    fn invisible_characters_do_not_distinguish_names() {
        assert_eq!(fold("a\u{200b}d\u{ad}a  \u{a0} lovelace "), "ada lovelace");
        assert_eq!(fold("\u{2764}\u{fe0f}"), fold("\u{2764}"));
        assert_eq!(fold("\u{200b}\u{3164}"), "");
    }

    #[test]
    fn folding_and_cleaning_are_idempotent() {
        for text in
            ["\u{130}\u{49}\u{131}", "\u{1e9e}", "\u{345}\u{391}\u{301}", "\u{fb01}x", "a\u{200b}\u{301}b", "\u{1ff3}"]
        {
            assert_eq!(fold(&fold(text)), fold(text), "{text:?}");
            assert_eq!(cleaned_name(&cleaned_name(text)), cleaned_name(text), "{text:?}");
            assert_eq!(name(&cleaned_name(text)).unwrap(), cleaned_name(text), "{text:?}");
        }
        assert_eq!(cleaned_name("\u{200b}\u{301}\u{3164}"), "");
        assert_eq!(cleaned_name("Acme\u{202e}emca"), "Acmeemca");
        assert_eq!(cleaned_name("e\u{200b}\u{301}"), "\u{e9}");
    }

    #[test]
    fn codes_are_read_as_people_write_them() {
        for text in [
            "123456",
            "123 456",
            " 123\u{a0}456\n",
            "123-456",
            "12\u{2013}34\u{2011}56",
            "\u{ff11}23456",
            "123\u{200b}456",
        ] {
            assert_eq!(code(text), "123456", "{text:?}");
        }
        assert_eq!(code("abcde fgh\u{2212}jk"), "abcdefghjk");
        assert_ne!(code("12345 7"), "123456");
    }

    #[test]
    fn passwords_are_the_same_on_every_keyboard() {
        assert_eq!(password("Ko\u{308}che"), password("K\u{f6}che"));
        assert_eq!(password("\u{ff21}\u{fb01}"), "Afi");
        assert_ne!(password("Koche"), password("K\u{f6}che"));
        assert_eq!(password(" a b "), " a b ", "spaces are part of a password");
    }
}
