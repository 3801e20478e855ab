//! Which characters are allowed in names and addresses.

use std::fmt;

use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{
        CanonicalCombiningClass, Dash, DefaultIgnorableCodePoint, Emoji, EmojiModifier, ExtendedPictographic,
        GeneralCategory, GeneralCategoryGroup, JoiningType, UnifiedIdeograph,
    },
};

/// The zero-width joiner and non-joiner, which some scripts and emoji need.
const ZWNJ: char = '\u{200c}';
const ZWJ: char = '\u{200d}';

/// Symbols without a visible glyph that Unicode does not call ignorable: the blank braille pattern, the object
/// replacement character, a null notehead.
const BLANK: [char; 3] = ['\u{2800}', '\u{fffc}', '\u{1d159}'];

/// A character that is not allowed in a name or address. It is invisible, changes how others are displayed, or has no
/// defined appearance: controls, format characters, ignorable, private and unassigned ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The refused character.
    pub character: char,
    /// Its position in the normal form of the text, in bytes.
    pub(crate) at: usize,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = u32::from(self.character);
        let why = match self.character.is_control() {
            true => "it is a control character",
            // Variation selectors are marks, too.
            false if is_mark(self.character) && !is_ignorable(self.character) => {
                "a combining mark needs a character before it"
            }
            false => "it is invisible or changes how other characters are displayed",
        };
        write!(f, "the character U+{code:04X} is not allowed: {why}")
    }
}

impl std::error::Error for Refused {}

/// A name has visible characters and spaces, and does not start with a combining mark. Joiners and variation selectors
/// are allowed where they have a visible effect: see [`is_needed`].
pub(crate) fn check_name(name: &str) -> Result<(), Refused> {
    let text: Vec<(usize, char)> = name.char_indices().collect();
    for (place, &(at, character)) in text.iter().enumerate() {
        let stands = place > 0 || !is_mark(character);
        if !(is_plain(character) && stands || is_needed(&text, place)) {
            return Err(Refused { character, at });
        }
    }
    Ok(())
}

/// An address has only visible characters, and spaces in a quoted local part. No part of it starts with a combining mark,
/// which would change the character that is printed before it.
pub(crate) fn check_address(address: &str) -> Result<(), Refused> {
    let mut before = None;
    for (at, character) in address.char_indices() {
        let stands = !is_mark(character) || !matches!(before, None | Some('"' | '@'));
        if !is_plain(character) || character != ' ' && is_space(character) || !stands {
            return Err(Refused { character, at });
        }
        before = Some(character);
    }
    Ok(())
}

fn is_plain(c: char) -> bool {
    use GeneralCategory::{Control, Format, LineSeparator, ParagraphSeparator, PrivateUse, Surrogate, Unassigned};
    let hidden = [Control, Format, LineSeparator, ParagraphSeparator, PrivateUse, Surrogate, Unassigned];
    !hidden.contains(&category(c)) && !is_ignorable(c) && !BLANK.contains(&c)
}

/// Whether a joiner or a variation selector has a visible effect. Joiners: after a virama, and a non-joiner between
/// letters that would join (RFC 5892, appendix A); a joiner between emoji (Unicode Technical Standard 51). Variation
/// selectors: after an emoji, and after an ideograph, whose variants are used in personal names (Unicode Technical
/// Standard 37).
fn is_needed(text: &[(usize, char)], place: usize) -> bool {
    let character = |place: usize| text.get(place).map(|&(_, c)| c);
    let Some(before) = place.checked_sub(1).and_then(character) else { return false };
    match character(place) {
        Some(ZWNJ) => is_virama(before) || parts_letters(text, place),
        Some(ZWJ) => is_virama(before) || joins_emoji(text, place),
        Some('\u{fe0e}' | '\u{fe0f}') => CodePointSetData::new::<Emoji>().contains(before),
        Some('\u{e0100}'..='\u{e01ef}') => CodePointSetData::new::<UnifiedIdeograph>().contains(before),
        _ => false,
    }
}

fn parts_letters(text: &[(usize, char)], place: usize) -> bool {
    let joining = |c: char| CodePointMapData::<JoiningType>::new().get(c);
    let is_seen = |kind: &JoiningType| *kind != JoiningType::Transparent;
    let before = text[..place].iter().rev().map(|&(_, c)| joining(c)).find(is_seen);
    let after = text[place + 1..].iter().map(|&(_, c)| joining(c)).find(is_seen);
    matches!(before, Some(JoiningType::DualJoining | JoiningType::LeftJoining))
        && matches!(after, Some(JoiningType::DualJoining | JoiningType::RightJoining))
}

fn joins_emoji(text: &[(usize, char)], place: usize) -> bool {
    let pictograph = |c: char| CodePointSetData::new::<ExtendedPictographic>().contains(c);
    let modifier = |c: char| c == '\u{fe0f}' || CodePointSetData::new::<EmojiModifier>().contains(c);
    let before = text[..place].iter().rev().map(|&(_, c)| c).find(|c| !modifier(*c));
    before.is_some_and(pictograph) && text.get(place + 1).is_some_and(|&(_, c)| pictograph(c))
}

fn is_virama(c: char) -> bool {
    CodePointMapData::<CanonicalCombiningClass>::new().get(c) == CanonicalCombiningClass::Virama
}

fn is_mark(c: char) -> bool {
    GeneralCategoryGroup::Mark.contains(category(c))
}

fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

/// A space that is as wide as a character; line breaks and tabs are controls.
pub(crate) fn is_space(c: char) -> bool {
    category(c) == GeneralCategory::SpaceSeparator
}

pub(crate) fn is_dash(c: char) -> bool {
    CodePointSetData::new::<Dash>().contains(c)
}

/// A character that is invisible if a font does not support it.
pub(crate) fn is_ignorable(c: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

#[cfg(test)]
mod tests {
    use crate::{address, name};

    #[test]
    fn invisible_characters_are_refused_in_names_and_addresses() {
        let hidden = [
            '\0',
            '\n',
            '\u{85}',
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{180e}',
            '\u{200b}',
            '\u{200e}',
            '\u{202e}',
            '\u{2028}',
            '\u{2060}',
            '\u{2066}',
            '\u{2800}',
            '\u{3164}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fffb}',
            '\u{fffe}',
            '\u{e000}',
            '\u{e0041}',
            '\u{e01ef}',
            '\u{10ffff}',
        ];
        for c in hidden {
            // White space is trimmed at the ends.
            let edges = [format!("{c}ab"), format!("ab{c}")].into_iter().filter(|_| !c.is_whitespace());
            for text in edges.chain([format!("a{c}b")]) {
                assert!(name(&text).is_err(), "{text:?}");
                assert!(address(&text).is_err(), "{text:?}");
            }
        }
        assert_eq!(name("bob\u{200b}").unwrap_err().character, '\u{200b}');
        assert!(name("bob\u{200b}").unwrap_err().to_string().contains("U+200B"));
        assert!(name("\u{301}").is_err() && name("\u{301}a").is_err());
    }

    #[test]
    fn names_in_every_script_are_accepted() {
        for text in [
            "Ada Lovelace",
            "J\u{fc}rgen",
            "\u{110}\u{1ed7} M\u{1b0}\u{1edd}i",
            "\u{645}\u{62d}\u{645}\u{62f}",
            "\u{5d3}\u{5d5}\u{5d3}",
            "\u{938}\u{94d}\u{930}\u{940}",
            "\u{9673}\u{5927}\u{6587}",
            "\u{c60}\u{b3d9}",
            "O'Brien & S\u{f8}n #1",
            // Needed joiners: Persian between joining letters, Sinhala and Devanagari after a virama.
            "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}",
            "\u{d9a}\u{dca}\u{200d}\u{dbb}\u{dd3}",
            "\u{915}\u{94d}\u{200c}\u{937}",
            // Emoji, and a name with a variant of an ideograph.
            "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} team",
            "\u{2764}\u{fe0f}",
            "\u{1f3f3}\u{fe0f}\u{200d}\u{1f308}",
            "1\u{fe0f}\u{20e3}",
            "\u{1f469}\u{1f3fd}\u{200d}\u{1f680}",
            "\u{845b}\u{e0100}\u{57ce}",
        ] {
            assert_eq!(name(text).unwrap(), text);
        }
    }

    #[test]
    fn joiners_and_selectors_without_effect_are_refused() {
        for text in [
            "a\u{200d}b",
            "a\u{200c}b",
            "\u{200d}",
            "\u{1f468}\u{200d}",
            "a\u{fe0f}",
            "\u{fe0f}",
            "a\u{e0100}",
            "\u{627}\u{200c}\u{645}",
            "\u{645}\u{200c}",
        ] {
            assert!(name(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn addresses_have_only_the_ascii_space() {
        assert_eq!(address(" \"a b\"@example.com ").unwrap(), "\"a b\"@example.com");
        assert!(address("a\u{a0}b@example.com").is_err() && address("a\u{3000}b@example.com").is_err());
        assert_eq!(address("bo\u{212a}@example.com").unwrap(), "boK@example.com");
    }

    #[test]
    fn no_part_of_an_address_starts_with_a_combining_mark() {
        for bad in ["\u{301}q@example.com", "\u{20dd}@example.com", "\"\u{301}q\"@example.com", "q@\u{301}example.com"]
        {
            let refused = address(bad).unwrap_err();
            assert!(refused.to_string().contains("combining mark"), "{refused}");
        }
        assert_eq!(address("q\u{20dd}@example.com").unwrap(), "q\u{20dd}@example.com");
    }

    #[test]
    fn an_invisible_mark_is_refused_as_invisible() {
        for mark in ['\u{fe0f}', '\u{34f}', '\u{180b}', '\u{e0100}'] {
            for refused in [
                address(&format!("b{mark}b@example.com")).unwrap_err(),
                address(&format!("{mark}b@example.com")).unwrap_err(),
                name(&format!("b{mark}b")).unwrap_err(),
            ] {
                assert_eq!(refused.character, mark);
                assert!(refused.to_string().contains("it is invisible"), "{refused}");
            }
        }
    }
}
