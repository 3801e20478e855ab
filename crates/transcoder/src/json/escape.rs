//! JSON strings.

/// How many bytes are checked together.
const CHUNK: usize = 16;

/// Writes a quoted string, with escapes where JSON requires them.
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    out.reserve(rest.len() + 2);
    out.push(b'"');
    while let Some(at) = special(rest) {
        out.extend_from_slice(&rest[..at]);
        escape(out, rest[at]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// The position of the first byte that must be escaped.
fn special(bytes: &[u8]) -> Option<usize> {
    let Some(last) = bytes.last_chunk::<CHUNK>() else { return bytes.iter().position(|byte| is_special(*byte)) };
    // The last chunk may overlap the one before.
    let chunks = bytes.as_chunks::<CHUNK>().0.iter().chain([last]);
    // No branch for each byte, so that the compiler vectorizes the check.
    let none = |chunk: &[u8; CHUNK]| !chunk.iter().fold(false, |special, byte| special | is_special(*byte));
    let plain = chunks.take_while(|chunk| none(chunk)).count() * CHUNK;
    if plain >= bytes.len() {
        return None;
    }
    // In bounds: `plain` is not longer than `bytes`.
    bytes[plain..].iter().position(|byte| is_special(*byte)).map(|at| plain + at)
}

/// Quotes, backslashes and control characters.
fn is_special(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0C => b'f',
        b'\r' => b'r',
        _ => {
            let hex = |digit: u8| b"0123456789abcdef"[usize::from(digit)];
            return out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]);
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    fn agrees(text: &str) {
        let mut out = Vec::new();
        super::string(&mut out, text);
        assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(text).unwrap());
    }

    #[test]
    fn every_ascii_character_is_written_as_the_format_library_writes_it_at_every_place() {
        for character in (0..=127_u8).map(char::from) {
            for at in 0..40 {
                agrees(&format!("{}{character}\u{e9}{}", "a".repeat(at), "b".repeat(at / 2)));
            }
        }
    }

    proptest! {
        #[test]
        fn strings_are_written_as_the_format_library_writes_them(text in "\\PC*[\"\\\\\u{0}-\u{1f}]*\\PC*") {
            agrees(&text);
        }
    }
}
