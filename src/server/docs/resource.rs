//! A file in memory: compressed if the client accepts it, omitted if the client has it.

use std::{
    borrow::Cow,
    io::{Read, Write},
    sync::OnceLock,
};

use axum::body::Body;
use bytes::Bytes;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, VARY},
};
use sha2::{Digest, Sha256};

#[derive(Debug)]
pub(super) struct Resource {
    pub paths: Vec<String>,
    /// Its label in metrics and logs.
    pub template: &'static str,
    content_type: &'static str,
    source: Source,
    digest: OnceLock<String>,
    packed: OnceLock<Bytes>,
}

/// The bytes of a file in the program.
#[derive(Debug)]
pub(super) enum Source {
    /// Uncompressed.
    Plain(Cow<'static, [u8]>),
    /// Compressed with gzip.
    Gzip(&'static [u8]),
}

impl Resource {
    pub fn new(paths: Vec<String>, template: &'static str, content_type: &'static str, source: Source) -> Self {
        Self { paths, template, content_type, source, digest: OnceLock::new(), packed: OnceLock::new() }
    }

    /// Responds to GET: with the file, unless the client has it, or requires a version that is gone (RFC 9110, section
    /// 13.2.2).
    pub fn answer(&self, headers: &HeaderMap) -> Response<Body> {
        let gzip = lists(headers, &ACCEPT_ENCODING, |item| takes(item, "gzip"));
        // Two representations of one file have two tags (RFC 9110, section 8.8.3.3).
        let tag = self.tag(gzip);
        let known = lists(headers, &IF_NONE_MATCH, |item| item == "*" || item.trim_start_matches("W/") == tag);
        // Strong comparison (section 13.1.1) with both tags: the client may have requested the other representation
        // before.
        let wanted = |item: &str| item == "*" || [self.tag(true), self.tag(false)].iter().any(|tag| tag == item);
        let gone = headers.contains_key(IF_MATCH) && !lists(headers, &IF_MATCH, wanted);
        let bare = gone || known;
        let mut response = if bare {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = if gone { StatusCode::PRECONDITION_FAILED } else { StatusCode::NOT_MODIFIED };
            response
        } else if gzip {
            let mut response = Response::new(Body::from(self.packed()));
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            response
        } else {
            Response::new(Body::from(self.plain()))
        };
        let headers = response.headers_mut();
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            headers.insert(ETAG, tag);
        }
        if !bare {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        }
        response
    }

    fn tag(&self, gzip: bool) -> String {
        if gzip { format!("\"{}-gzip\"", self.digest()) } else { format!("\"{}\"", self.digest()) }
    }

    fn digest(&self) -> &str {
        self.digest.get_or_init(|| {
            let digest = Sha256::digest(match &self.source {
                Source::Plain(bytes) => bytes,
                Source::Gzip(bytes) => *bytes,
            });
            digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
        })
    }

    fn packed(&self) -> Bytes {
        match &self.source {
            Source::Gzip(bytes) => Bytes::from_static(bytes),
            Source::Plain(bytes) => self.packed.get_or_init(|| pack(bytes)).clone(),
        }
    }

    /// The uncompressed bytes. Few clients do not accept gzip; for them the file is decompressed each time.
    fn plain(&self) -> Bytes {
        match &self.source {
            Source::Plain(Cow::Borrowed(bytes)) => Bytes::from_static(bytes),
            Source::Plain(Cow::Owned(bytes)) => Bytes::copy_from_slice(bytes),
            Source::Gzip(bytes) => {
                let mut plain = Vec::new();
                // The build compressed it, so decompression succeeds.
                let _ = GzDecoder::new(*bytes).read_to_end(&mut plain);
                plain.into()
            }
        }
    }
}

fn pack(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default().into()
}

/// Whether a list in a header has a matching item.
fn lists(headers: &HeaderMap, name: &HeaderName, is: impl Fn(&str) -> bool) -> bool {
    let mut values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    values.any(|value| value.split(',').any(|item| is(item.trim())))
}

/// Whether an item of Accept-Encoding is this coding with a weight above zero.
fn takes(item: &str, coding: &str) -> bool {
    let mut parts = item.split(';').map(str::trim);
    let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(coding));
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    named && weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|weight| weight > 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(resource: &Resource, headers: &[(HeaderName, &'static str)]) -> Response<Body> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        resource.answer(&headers.collect())
    }

    #[test]
    fn gzip_is_sent_only_if_accepted() {
        for good in ["gzip", "GZIP;q=0.5", "gzip; q=1"] {
            assert!(takes(good, "gzip"), "{good}");
        }
        for bad in ["", "br", "gzip;q=0", "gzip; q=0.000", "x-gzip", "gzip;q=much"] {
            assert!(!takes(bad, "gzip"), "{bad}");
        }
    }

    #[test]
    fn a_known_tag_gets_304_without_the_file() {
        let resource = Resource::new(Vec::new(), "/x", "text/plain", Source::Plain(b"words".as_slice().into()));
        let (plain, packed) = (answer(&resource, &[]), answer(&resource, &[(ACCEPT_ENCODING, "br, gzip")]));
        assert_eq!((plain.status(), plain.headers().get(CONTENT_ENCODING)), (StatusCode::OK, None));
        assert_eq!(packed.headers()[CONTENT_ENCODING], "gzip");
        assert_ne!(plain.headers()[ETAG], packed.headers()[ETAG]);
        let tag = plain.headers()[ETAG].clone();
        let mut headers = HeaderMap::from_iter([(IF_NONE_MATCH, tag.clone())]);
        assert_eq!(resource.answer(&headers).status(), StatusCode::NOT_MODIFIED);
        headers.insert(IF_NONE_MATCH, HeaderValue::from_static("\"other\", W/\"another\""));
        assert_eq!(resource.answer(&headers).status(), StatusCode::OK);
    }

    #[test]
    fn if_match_with_another_tag_fails() {
        let resource = Resource::new(Vec::new(), "/x", "text/plain", Source::Plain(b"words".as_slice().into()));
        let status = |tags: &[(HeaderName, &[u8])]| {
            let pairs = tags.iter().map(|(name, value)| (name.clone(), HeaderValue::from_bytes(value).unwrap()));
            resource.answer(&pairs.collect()).status()
        };
        let (plain, packed) = (resource.tag(false), resource.tag(true));
        for one in [plain.as_bytes(), packed.as_bytes(), b"*", &[b"\"\xfc\", ".as_slice(), plain.as_bytes()].concat()] {
            assert_eq!(status(&[(IF_MATCH, one)]), StatusCode::OK);
        }
        for other in [b"\"no\"".as_slice(), b"", format!("W/{plain}").as_bytes(), b"\"\xfc\""] {
            assert_eq!(status(&[(IF_MATCH, other)]), StatusCode::PRECONDITION_FAILED);
        }
        let both = [(IF_MATCH, b"\"no\"".as_slice()), (IF_NONE_MATCH, plain.as_bytes())];
        assert_eq!(status(&both), StatusCode::PRECONDITION_FAILED, "it is asked first");
        assert_eq!(status(&[(IF_MATCH, b"*".as_slice()), both[1].clone()]), StatusCode::NOT_MODIFIED);
        assert_eq!(
            status(&[(IF_NONE_MATCH, &[b"\"\xfc\", ".as_slice(), plain.as_bytes()].concat())]),
            StatusCode::NOT_MODIFIED
        );
    }

    #[test]
    fn compressed_files_decompress_to_the_originals() {
        let text = b"the same words again and again and again".as_slice();
        let packed: &'static [u8] = Box::leak(pack(text).to_vec().into_boxed_slice());
        let resource = Resource::new(Vec::new(), "/x", "text/plain", Source::Gzip(packed));
        assert_eq!(resource.plain(), text);
        assert_eq!(resource.packed(), packed);
    }
}
