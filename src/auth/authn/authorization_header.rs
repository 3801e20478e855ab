//! The `Authorization` header (RFC 9110, 11.6.2) with the schemes of our credentials.

use http::{HeaderMap, header::AUTHORIZATION};

use super::tokens;
use crate::base::Result;

/// A scheme of credentials; its name is case-insensitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// RFC 6750.
    Bearer,
    /// RFC 9449.
    Dpop,
}

impl Scheme {
    fn name(self) -> &'static [u8] {
        match self {
            Self::Bearer => b"bearer",
            Self::Dpop => b"dpop",
        }
    }
}

/// The token of the header, if it has this scheme. Other schemes, such as that of a proxy on the way, are not ours and are
/// ignored. A header with this scheme that does not continue with spaces and a token, as RFC 9110 (11.4) requires, is an
/// invalid credential.
pub(super) fn token(headers: &HeaderMap, wanted: Scheme) -> Result<Option<&str>> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let header = match (all.next(), all.next()) {
        (None, _) => return Ok(None),
        // HTTP/2 does not strip white space around a value, as HTTP/1.1 does.
        (Some(header), None) => trim(header.as_bytes(), b" \t"),
        (Some(_), Some(_)) => return Err(tokens::invalid()),
    };
    let end = header.iter().position(|octet| !is_tchar(*octet)).unwrap_or(header.len());
    let (scheme, token) = header.split_at(end);
    if !scheme.eq_ignore_ascii_case(wanted.name()) {
        return Ok(None);
    }
    let spaced = token.starts_with(b" ");
    let token = trim(token, b" ");
    let good = spaced && !token.is_empty() && token.iter().all(u8::is_ascii_graphic);
    std::str::from_utf8(token).ok().filter(|_| good).map(Some).ok_or_else(tokens::invalid)
}

/// Strips characters on both sides.
fn trim<'t>(text: &'t [u8], around: &[u8]) -> &'t [u8] {
    let is_meant = |octet: &u8| !around.contains(octet);
    let start = text.iter().position(is_meant).unwrap_or(text.len());
    let end = text.iter().rposition(is_meant).map_or(start, |last| last + 1);
    // Cannot panic: the first octet that remains is not behind the last one, and if none remains, both are the length.
    &text[start..end]
}

/// Whether an octet may be part of a scheme's name (RFC 9110, 5.6.2).
fn is_tchar(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet)
}
