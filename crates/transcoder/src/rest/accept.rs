//! Chooses the form of a stream from the Accept header (RFC 9110, section 12.5.1).

use http::{HeaderMap, HeaderValue, header::ACCEPT};

use crate::fields::{essence, items, weight};

/// A form of a stream of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// A line of JSON for each message.
    Lines,
    /// A Server-Sent Event for each message.
    Events,
    /// A JSON array of the messages.
    List,
}

impl Framing {
    /// The form that the client prefers. Media ranges that cannot be parsed match nothing. The default is lines.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let ranges: Vec<_> = items(headers, ACCEPT).collect();
        let forms = [(Self::Lines, LINES), (Self::Events, EVENTS), (Self::List, LIST)];
        let quality = |kinds: &[&str]| kinds.iter().map(|kind| quality(&ranges, kind)).max().unwrap_or_default();
        let mut best = (Self::Lines, quality(forms[0].1));
        for (form, kinds) in &forms[1..] {
            let quality = quality(kinds);
            if quality > best.1 {
                best = (*form, quality);
            }
        }
        best.0
    }

    /// The media type of the response.
    pub(super) const fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Lines => LINES[0],
            Self::Events => EVENTS[0],
            Self::List => LIST[0],
        })
    }
}

/// The media types of each form; the first one is sent.
const LINES: &[&str] = &["application/x-ndjson", "application/ndjson", "application/jsonl"];
const EVENTS: &[&str] = &["text/event-stream"];
const LIST: &[&str] = &["application/json"];

/// The weight of a media type in thousandths, by the most specific range that matches it.
fn quality(ranges: &[&[u8]], kind: &str) -> u16 {
    let family = kind.split('/').next().unwrap_or_default();
    let mut found = (0, 0);
    for range in ranges {
        let name = essence(range);
        let specific = match name {
            _ if name.eq_ignore_ascii_case(kind) => 3,
            _ if name.strip_suffix("/*").is_some_and(|name| name.eq_ignore_ascii_case(family)) => 2,
            "*/*" => 1,
            _ => continue,
        };
        let weight = weight(range);
        if specific > found.0 || (specific == found.0 && weight > found.1) {
            found = (specific, weight);
        }
    }
    found.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_form_is_chosen() {
        let of = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().unwrap());
            Framing::of(&headers)
        };
        assert_eq!(Framing::of(&HeaderMap::new()), Framing::Lines);
        for lines in ["*/*", "application/*", "application/jsonl", "application/json, */*", "text/html", "", "a;q=x"] {
            assert_eq!(of(lines), Framing::Lines, "{lines}");
        }
        for events in ["text/event-stream", "Text/Event-Stream; q=0.5", "application/json;q=0.2, text/*"] {
            assert_eq!(of(events), Framing::Events, "{events}");
        }
        for list in ["application/json", "application/json, text/event-stream;q=0.9, */*;q=0.1"] {
            assert_eq!(of(list), Framing::List, "{list}");
        }
        assert_eq!(of("text/event-stream;q=0, */*"), Framing::Lines);
    }

    #[test]
    fn an_undecodable_range_does_not_hide_others() {
        let mut headers = HeaderMap::new();
        for accept in [
            &b"text/\xfc;q=\xff, text/event-stream"[..],
            b"a/b;x=\"\xfc, application/json\", text/event-stream;x=\"\xfc\"",
        ] {
            headers.insert(ACCEPT, HeaderValue::from_bytes(accept).unwrap());
            assert_eq!(Framing::of(&headers), Framing::Events, "{}", accept.escape_ascii());
        }
    }
}
