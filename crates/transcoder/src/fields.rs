//! Header fields as octets: an octet beyond ASCII, which RFC 9110, section 5.5, permits, concerns one item or parameter, and does not
//! hide the others.

use http::{HeaderMap, header::AsHeaderName};

/// The items of all fields with this name (RFC 9110, section 5.6.1), without the spaces around them.
pub fn items(headers: &HeaderMap, name: impl AsHeaderName) -> impl Iterator<Item = &[u8]> {
    headers.get_all(name).iter().flat_map(|value| parts(value.as_bytes(), b','))
}

/// The parts of a text between separators outside of quoted strings, without the spaces around them. A quote that is
/// never closed quotes nothing.
pub fn parts(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut rest, mut has_quotes) = (Some(text), true);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = end(text, separator, &mut has_quotes);
        rest = text.get(end + 1..);
        Some(text[..end].trim_ascii())
    })
}

/// The position of the first separator that is not in a quoted string, or the length. The rest of a text in which a quote
/// is never closed has no quoted strings, so that it is read only once.
fn end(text: &[u8], separator: u8, has_quotes: &mut bool) -> usize {
    let mut at = 0;
    while let Some(&octet) = text.get(at) {
        if octet == separator {
            return at;
        }
        if octet == b'"' && *has_quotes {
            match close(&text[at + 1..]) {
                Some(length) => at += 1 + length,
                None => *has_quotes = false,
            }
        }
        at += 1;
    }
    text.len()
}

/// The position of the quote that ends a quoted string (RFC 9110, section 5.6.4).
fn close(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// A media type without its parameters; empty if it is not ASCII.
pub fn essence(media_type: &[u8]) -> &str {
    let essence = parts(media_type, b';').next().filter(|essence| essence.is_ascii());
    essence.and_then(|essence| str::from_utf8(essence).ok()).unwrap_or_default()
}

/// The weight of an item in thousandths (RFC 9110, section 12.4.2): 1000 without one, and 0 for one that is malformed.
pub fn weight(item: &[u8]) -> u16 {
    let weight = parts(item, b';').skip(1).find_map(|part| part.strip_prefix(b"q=").or(part.strip_prefix(b"Q=")));
    weight.map_or(1000, |weight| {
        let weight: f32 = str::from_utf8(weight).ok().and_then(|text| text.trim().parse().ok()).unwrap_or_default();
        // In bounds, so the cast is exact enough.
        (weight.clamp(0.0, 1.0) * 1000.0).round() as u16
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header::ACCEPT};

    use super::*;

    #[test]
    fn items_are_separated_outside_of_quoted_strings() {
        for (text, wanted) in [
            (&b"a, b ,c"[..], &[&b"a"[..], b"b", b"c"][..]),
            (b"", &[b""]),
            (b"a,", &[b"a", b""]),
            (b"\xff, b", &[b"\xff", b"b"]),
            (b"a;x=\"\xfc,\", b", &[b"a;x=\"\xfc,\"", b"b"]),
            (b"a;x=\"\\\",\", b", &[b"a;x=\"\\\",\"", b"b"]),
            (b"a;x=\", b", &[b"a;x=\"", b"b"]),
            (b"a;x=\"\\", &[b"a;x=\"\\"]),
            (b"\", \\\", a", &[b"\"", b"\\\"", b"a"]),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_bytes(text).unwrap())]);
            assert_eq!(items(&headers, ACCEPT).collect::<Vec<_>>(), wanted, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn a_parameter_hides_neither_the_type_nor_the_weight() {
        assert_eq!(essence(b" Text/Plain ; x=\"\xfc\""), "Text/Plain");
        assert_eq!((essence(b"text/\xfc"), essence("text/\u{fc}".as_bytes()), essence(b"")), ("", "", ""));
        for (item, wanted) in
            [(&b"a"[..], 1000), (b"a;x=\"\xfc;q=0\"; Q=0.25", 250), (b"a;q=\xff", 0), (b"a;q=2", 1000), (b"a;q=-1", 0)]
        {
            assert_eq!(weight(item), wanted, "{}", item.escape_ascii());
        }
    }
}
