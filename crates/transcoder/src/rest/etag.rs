//! Entity tags and conditional requests (RFC 9110, sections 8.8.3 and 13).

use http::{
    HeaderMap, HeaderValue, Method,
    header::{ETAG, IF_MATCH, IF_NONE_MATCH},
};
use sha2::{Digest as _, Sha256};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::failure::{Failure, Origin};

/// The reason of a service that refuses a stale tag.
const STALE: &str = "ETAG_MISMATCH";

/// Responses have an entity tag. Generated.
#[derive(Clone, Copy, Debug)]
pub struct EtagRule {
    /// The tag is the digest of the response; otherwise it is a field of the response.
    pub digest: bool,
    /// Path of the request field that takes the tag of If-Match.
    pub request: Option<&'static str>,
    /// The fields contain tags with their quotes.
    pub quoted: bool,
    /// Path of the request field, a list of strings, that takes the tags of If-None-Match.
    pub known: Option<&'static str>,
}

impl EtagRule {
    /// The tag in a field of the response; none if the text does not have the form of the rule.
    pub(super) fn tag(&self, text: &str) -> Option<String> {
        let tag = match self.quoted {
            true => text.strip_prefix('"').and_then(|text| text.strip_suffix('"')),
            false => Some(text),
        };
        tag.filter(|tag| !tag.is_empty()).map(str::to_owned)
    }

    /// A tag in the form of the request field.
    fn field_value(&self, tag: &str) -> String {
        if self.quoted { format!("\"{tag}\"") } else { tag.to_owned() }
    }
}

/// The error of a service whose resource has another entity tag than the request: ABORTED, as in AIP-154, with the
/// reason `ETAG_MISMATCH` of the domain. Over REST it is 412 for If-Match, and 409 for a tag in the message.
pub fn etag_mismatch(domain: &str) -> Status {
    let details = ErrorDetails::with_error_info(STALE, domain, [] as [(String, String); 0]);
    Status::with_error_details(Code::Aborted, "the resource has changed; read it again", details)
}

/// The digest of a response as a tag.
pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |tag, byte| tag + &format!("{byte:02x}"))
}

/// The conditions of a request.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Tags {
    /// Any existing resource (`*`).
    Any,
    These(Vec<Tag>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Tag {
    weak: bool,
    /// The text between the quotes.
    given: String,
}

impl Tag {
    /// Whether it can be the tag of a resource that changes. A weak or empty tag cannot: a service would take it as
    /// none.
    fn may_match(&self) -> bool {
        !self.weak && !self.opaque().is_empty()
    }

    /// The tag of the resource: without the suffix of a compressed response.
    fn opaque(&self) -> &str {
        let coding = |suffix: &&str| self.given.ends_with(suffix);
        CODINGS.iter().find(|suffix| coding(suffix)).map_or(&*self.given, |suffix| {
            // A suffix is ASCII and at the end of the text.
            self.given.strip_suffix(suffix).unwrap_or(&self.given)
        })
    }
}

/// The suffixes that compressed responses add to their tags (RFC 9110, section 8.8.3.3).
pub(crate) const CODINGS: [&str; 2] = [";gzip", ";zstd"];

/// The outcome of the conditions of a safe request, once the tag of the resource is known.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Send the response.
    Send,
    /// The client has it: 304, with this tag, if the resource has one.
    NotModified(Option<String>),
    /// It is not the one that the client expects: 412.
    Failed,
}

impl Conditions {
    /// Reads the headers of a request whose rule has an entity tag.
    pub fn of(headers: &HeaderMap) -> Result<Self, Box<Failure>> {
        let read = |name| Tags::of(headers, name).map_err(|()| malformed());
        Ok(Self { if_match: read(IF_MATCH)?, if_none_match: read(IF_NONE_MATCH)? })
    }

    /// The tag that a changing request passes to its service, if any.
    pub fn tag_for(&self, rule: &EtagRule) -> Result<Option<String>, Box<Failure>> {
        if self.if_none_match.is_some() {
            return Err(unsupported("If-None-Match is supported only for reads"));
        }
        match &self.if_match {
            Some(_) if rule.request.is_none() => Err(unsupported("If-Match is not supported here")),
            None | Some(Tags::Any) => Ok(None),
            Some(Tags::These(tags)) => match tags.as_slice() {
                [tag] if tag.may_match() => Ok(Some(rule.field_value(tag.opaque()))),
                // Also for an empty list, no tag matches.
                tags if !tags.iter().any(Tag::may_match) => Err(failed()),
                _ => Err(unsupported("If-Match must have exactly one entity tag")),
            },
        }
    }

    /// The tags that the client of a read has, in the form of the request field.
    pub fn known_for(&self, rule: &EtagRule) -> Vec<String> {
        match &self.if_none_match {
            Some(Tags::These(tags)) if rule.known.is_some() => {
                tags.iter().map(|tag| rule.field_value(tag.opaque())).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Maps a failure of the service: 412 if and only if If-Match caused it.
    pub fn judge(&self, failure: Box<Failure>) -> Box<Failure> {
        let Some(wanted) = &self.if_match else { return failure };
        let stale = failure.reason == STALE || (*wanted == Tags::Any && failure.code == Code::NotFound);
        if stale && failure.origin == Origin::Service {
            return Box::new(failure.with_status(http::StatusCode::PRECONDITION_FAILED));
        }
        failure
    }

    /// Compares the tag of the resource, if it has one, with the conditions of a safe request.
    pub fn verdict(&self, method: &Method, tag: Option<&str>) -> Verdict {
        if !(method == Method::GET || method == Method::HEAD) {
            return Verdict::Send;
        }
        let strong = |tags: &Tags| match tags {
            Tags::Any => true,
            Tags::These(tags) => tags.iter().any(|one| !one.weak && Some(one.opaque()) == tag),
        };
        if self.if_match.as_ref().is_some_and(|tags| !strong(tags)) {
            return Verdict::Failed;
        }
        match &self.if_none_match {
            Some(Tags::Any) => Verdict::NotModified(tag.map(str::to_owned)),
            Some(Tags::These(tags)) => match tags.iter().find(|one| Some(one.opaque()) == tag) {
                // The tag that the client has belongs to the representation that it would get again.
                Some(one) => Verdict::NotModified(Some(one.given.clone())),
                None => Verdict::Send,
            },
            None => Verdict::Send,
        }
    }
}

/// Sets the ETag header. A text that cannot be a tag is ignored.
pub(super) fn insert(headers: &mut HeaderMap, tag: &str) {
    let fits = |byte: u8| byte == 0x21 || (0x23..=0x7e).contains(&byte) || byte >= 0x80;
    if let Ok(value) = HeaderValue::from_str(&format!("\"{tag}\""))
        && tag.bytes().all(fits)
    {
        headers.insert(ETAG, value);
    }
}

impl Tags {
    fn of(headers: &HeaderMap, name: http::HeaderName) -> Result<Option<Self>, ()> {
        if !headers.contains_key(&name) {
            return Ok(None);
        }
        let mut tags = Vec::new();
        for value in headers.get_all(name) {
            let text = std::str::from_utf8(value.as_bytes()).map_err(|_| ())?.trim();
            if text == "*" {
                return Ok(Some(Self::Any));
            }
            list(text, &mut tags)?;
        }
        Ok(Some(Self::These(tags)))
    }
}

/// Parses a list of tags. A tag without quotes, which some clients send, ends at the comma.
fn list(mut text: &str, tags: &mut Vec<Tag>) -> Result<(), ()> {
    loop {
        text = text.trim_start_matches([' ', '\t', ',']);
        if text.is_empty() {
            return Ok(());
        }
        let (weak, rest) = text.strip_prefix("W/").map_or((false, text), |rest| (true, rest));
        let (given, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or(())?,
            None => rest.split_at(rest.find(',').unwrap_or(rest.len())),
        };
        tags.push(Tag { weak, given: given.trim_end().to_owned() });
        text = rest;
    }
}

fn malformed() -> Box<Failure> {
    let text = "malformed entity tag: write \"tag\", W/\"tag\" or *";
    Box::new(Failure::new(Origin::Decode, Code::InvalidArgument, "PRECONDITION_MALFORMED", text))
}

fn unsupported(text: &str) -> Box<Failure> {
    Box::new(Failure::new(Origin::Decode, Code::InvalidArgument, "PRECONDITION_UNSUPPORTED", text))
}

/// The resource is not the one that the client expects.
pub(super) fn failed() -> Box<Failure> {
    let text = "the entity tag in If-Match is not current";
    let failure = Failure::new(Origin::Decode, Code::Aborted, STALE, text);
    Box::new(failure.with_status(http::StatusCode::PRECONDITION_FAILED))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(name: &'static str, value: &str) -> Result<Conditions, Box<Failure>> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        Conditions::of(&headers)
    }

    #[test]
    fn tags_are_compared_weakly_for_reads_and_strongly_for_writes() {
        let verdict = |name, value| conditions(name, value).unwrap().verdict(&Method::GET, Some("a,b"));
        let same = Verdict::NotModified(Some("a,b".to_owned()));
        for value in ["\"a,b\"", "W/\"a,b\"", "\"x\", \"a,b\"", "*"] {
            assert_eq!(verdict("if-none-match", value), same, "{value}");
        }
        assert_eq!(verdict("if-none-match", "\"a,b;gzip\""), Verdict::NotModified(Some("a,b;gzip".to_owned())));
        assert_eq!(verdict("if-none-match", "\"a\""), Verdict::Send);
        assert_eq!(verdict("if-none-match", ""), Verdict::Send);
        for value in ["\"a,b\"", "*", "\"a,b;zstd\""] {
            assert_eq!(verdict("if-match", value), Verdict::Send, "{value}");
        }
        for value in ["W/\"a,b\"", "\"a\"", "a", "", ","] {
            assert_eq!(verdict("if-match", value), Verdict::Failed, "{value}");
        }
    }

    #[test]
    fn a_resource_without_a_tag_matches_none() {
        let verdict = |name, value| conditions(name, value).unwrap().verdict(&Method::GET, None);
        assert_eq!(verdict("if-match", "\"a\""), Verdict::Failed);
        assert_eq!(verdict("if-match", "*"), Verdict::Send);
        assert_eq!(verdict("if-none-match", "\"a\""), Verdict::Send);
        assert_eq!(verdict("if-none-match", "*"), Verdict::NotModified(None));
    }

    #[test]
    fn one_strong_tag_goes_to_the_service() {
        let rule = EtagRule { digest: false, request: Some("etag"), quoted: false, known: None };
        let tag = |value| conditions("if-match", value).and_then(|conditions| conditions.tag_for(&rule));
        assert_eq!(tag("\"a\"").unwrap(), Some("a".to_owned()));
        assert_eq!(tag("a").unwrap(), Some("a".to_owned()));
        assert_eq!(tag("\"a;gzip\"").unwrap(), Some("a".to_owned()));
        assert_eq!(tag("*").unwrap(), None);
        let refused = [("\"a\", \"b\"", 400), ("\"a", 400), ("W/\"a\"", 412), ("\"\"", 412), ("", 412), (",", 412)];
        for (value, status) in refused {
            assert_eq!(tag(value).unwrap_err().status, status, "{value}");
        }
        let none = conditions("if-none-match", "*").unwrap();
        assert_eq!(none.tag_for(&rule).unwrap_err().reason, "PRECONDITION_UNSUPPORTED");
    }

    #[test]
    fn the_tags_of_a_read_go_to_a_service_that_wants_them() {
        let rule = |known| EtagRule { digest: false, request: None, quoted: false, known };
        let known = |value, field| conditions("if-none-match", value).unwrap().known_for(&rule(field));
        assert_eq!(known("\"a\", W/\"b;gzip\"", Some("known")), ["a", "b"]);
        assert_eq!(known("\"a\"", None), [""; 0]);
        assert_eq!(known("*", Some("known")), [""; 0]);
        assert_eq!(conditions("if-match", "\"a\"").unwrap().known_for(&rule(Some("known"))), [""; 0]);
    }

    #[test]
    fn fields_hold_tags_with_or_without_quotes() {
        let rule = |quoted| EtagRule { digest: false, request: Some("etag"), quoted, known: None };
        assert_eq!((rule(false).tag("a"), rule(false).field_value("a")), (Some("a".to_owned()), "a".to_owned()));
        assert_eq!((rule(true).tag("\"a\""), rule(true).field_value("a")), (Some("a".to_owned()), "\"a\"".to_owned()));
        for none in ["a", "W/\"a\"", "\"\"", "\"", ""] {
            assert_eq!(rule(true).tag(none), None, "{none}");
        }
    }
}
