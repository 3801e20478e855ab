//! Percent-encoding by the rules of `google.api.http`.

use std::borrow::Cow;

use crate::json::{DecodeError, DecodeErrorKind};

/// Which escapes are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// None: the value of one segment, or of a query.
    Nothing,
    /// `%2F` and `%2f`: for a value of several segments, in which an escaped slash is not a separator.
    Slash,
}

/// Decodes escapes once. Fails for a malformed escape and for bytes that are not UTF-8.
pub fn decode(text: &str, keep: Keep) -> Result<Cow<'_, str>, DecodeError> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte != b'%' {
            out.push(byte);
            at += 1;
            continue;
        }
        let escape = bytes.get(at..at + 3).ok_or_else(malformed)?;
        let value = hex(escape[1]).zip(hex(escape[2])).map(|(high, low)| high << 4 | low).ok_or_else(malformed)?;
        if keep == Keep::Slash && value == b'/' {
            out.extend_from_slice(escape);
        } else {
            out.push(value);
        }
        at += 3;
    }
    String::from_utf8(out)
        .map(Cow::Owned)
        .map_err(|_| DecodeError::new(DecodeErrorKind::Encoding, "percent-escapes that are not UTF-8"))
}

/// Decodes the key or value of a query: escapes, and a plus is a space.
pub fn decode_query(text: &str) -> Result<Cow<'_, str>, DecodeError> {
    if !text.contains('+') {
        return decode(text, Keep::Nothing);
    }
    decode(&text.replace('+', " "), Keep::Nothing).map(|text| Cow::Owned(text.into_owned()))
}

/// A path in the form that the router compares: each segment [canonical]. A segment with a malformed escape stays
/// unchanged, because templates contain none.
pub fn canonical_path(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let segment = |segment| canonical(segment).unwrap_or(Cow::Borrowed(segment));
    Cow::Owned(path.split('/').map(segment).collect::<Vec<_>>().join("/"))
}

/// A segment in the form in which literals are compared: decoded, then everything except `-._~` and ASCII letters and
/// digits encoded in upper-case hex. `None` for a malformed escape.
pub fn canonical(segment: &str) -> Option<Cow<'_, str>> {
    if segment.bytes().all(is_unreserved) {
        return Some(Cow::Borrowed(segment));
    }
    let bytes = segment.as_bytes();
    let mut out = String::with_capacity(bytes.len() + 8);
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let value = if byte == b'%' {
            let high = hex(*bytes.get(at + 1)?)?;
            let low = hex(*bytes.get(at + 2)?)?;
            at += 2;
            high << 4 | low
        } else {
            byte
        };
        at += 1;
        if is_unreserved(value) {
            out.push(char::from(value));
        } else {
            out.push_str(&format!("%{value:02X}"));
        }
    }
    Some(Cow::Owned(out))
}

/// ASCII letters, digits and `-._~`.
pub(crate) fn is_unreserved(byte: u8) -> bool {
    const TABLE: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0_u8;
        loop {
            table[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
            if byte == u8::MAX {
                break table;
            }
            byte += 1;
        }
    };
    TABLE[usize::from(byte)]
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn malformed() -> DecodeError {
    DecodeError::new(DecodeErrorKind::Encoding, "malformed percent-escape")
}
