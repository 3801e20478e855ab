//! Reads the body of a request.

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt as _, Limited};
use tonic::Code;

use super::rule::{Body, Rule};
use crate::{
    failure::{Failure, Origin},
    fields::essence,
};

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Reads the body that a rule takes, up to `most` bytes, after [`check`] accepted its head.
pub(super) async fn body<B>(rule: &Rule, headers: &HeaderMap, body: B, most: usize) -> Result<Bytes, Box<Failure>>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let bytes = match Limited::new(body, most).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(Box::new(Failure::too_large(most)));
        }
        Err(_) => {
            let text = "the body ended before it was complete";
            return Err(Box::new(Failure::new(Origin::Decode, Code::InvalidArgument, "BODY_INCOMPLETE", text)));
        }
    };
    if bytes.is_empty() {
        return Ok(bytes);
    }
    check_head(rule, headers)?;
    let blank = rule.info.surface.blank_body_absent
        && !matches!(rule.binding.body, Body::Raw { .. })
        && bytes.trim_ascii().is_empty();
    Ok(if blank { Bytes::new() } else { bytes })
}

/// Refuses a body by the head of the request, before it is read.
pub(super) fn check<B>(rule: &Rule, headers: &HeaderMap, body: &B, most: usize) -> Result<(), Box<Failure>>
where
    B: http_body::Body,
{
    if body.is_end_stream() {
        return Ok(());
    }
    if body.size_hint().lower() > most as u64 {
        return Err(Box::new(Failure::too_large(most)));
    }
    // A body with a length is there, and one that waits for `100 Continue` will be. A chunked one may still be empty.
    if body.size_hint().lower() > 0 || is_held_back(headers, body) {
        check_head(rule, headers)?;
    }
    Ok(())
}

/// Whether the client sends the body only after `100 Continue`.
pub(super) fn is_held_back(headers: &HeaderMap, body: &impl http_body::Body) -> bool {
    !body.is_end_stream() && headers.contains_key(header::EXPECT)
}

/// Refuses a body by its headers, if the rule does not accept that form.
fn check_head(rule: &Rule, headers: &HeaderMap) -> Result<(), Box<Failure>> {
    if is_encoded(headers) {
        return Err(Box::new(Failure::content_encoding()));
    }
    // Raw bytes may have any media type.
    if matches!(rule.binding.body, Body::Raw { .. }) || is_json(headers) {
        return Ok(());
    }
    Err(Box::new(Failure::media_type()))
}

/// Whether a body is empty; null counts as empty.
pub(super) fn is_nothing(body: &[u8]) -> bool {
    body.is_empty() || body.trim_ascii() == b"null"
}

/// Whether the body is compressed. A server that accepts such bodies decompresses them in a layer before.
fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_ENCODING).is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Whether the body is declared as JSON: `application/json` or any `+json`.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return false };
    let essence = essence(value.as_bytes()).to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// The media type of the body: without its parameters if they are not ASCII, and empty if there is none.
pub(super) fn media_type(headers: &HeaderMap) -> &str {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return "" };
    value.to_str().unwrap_or_else(|_| essence(value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn parameters_beyond_ascii_do_not_hide_the_media_type() {
        for (value, is_json_type, kept) in [
            (&b"application/json; charset=utf-8"[..], true, "application/json; charset=utf-8"),
            ("Application/JSON; x=\"\u{fc}\"".as_bytes(), true, "Application/JSON"),
            (b"application/merge-patch+json;x=\"\xfc;\"", true, "application/merge-patch+json"),
            (b"application/\xfc+json", false, ""),
            (b"text/plain;x=\"; application/json\"", false, "text/plain;x=\"; application/json\""),
        ] {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_bytes(value).unwrap())]);
            assert_eq!((is_json(&headers), media_type(&headers)), (is_json_type, kept), "{}", value.escape_ascii());
        }
    }
}
