//! The media types of gRPC and gRPC-Web.
//!
//! A media type is case-insensitive and may have parameters (RFC 9110, section 8.3.1), so it is parsed and never
//! compared as text.

use http::{
    HeaderMap, HeaderValue,
    header::{ACCEPT, CONTENT_TYPE},
};
use transcoder::fields::{essence, items, weight};

/// A variant of gRPC, by the media type of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrpcForm {
    /// gRPC over HTTP/2.
    Native,
    /// gRPC-Web: the body contains what HTTP/2 has in trailers.
    Web,
    /// gRPC-Web in base64.
    WebText,
}

/// The supported media types.
const TYPES: [(&str, GrpcForm); 6] = [
    ("application/grpc", GrpcForm::Native),
    ("application/grpc+proto", GrpcForm::Native),
    ("application/grpc-web", GrpcForm::Web),
    ("application/grpc-web+proto", GrpcForm::Web),
    ("application/grpc-web-text", GrpcForm::WebText),
    ("application/grpc-web-text+proto", GrpcForm::WebText),
];

/// The common prefix; other media types with it are gRPC with an unsupported codec.
const FAMILY: &str = "application/grpc";

impl GrpcForm {
    /// The variant of a request, by its `Content-Type`. `None` if it is not gRPC with protobuf messages.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        Self::of_type(essence(headers.get(CONTENT_TYPE)?.as_bytes()))
    }

    /// Whether a request is gRPC, with any codec.
    pub fn is_meant(headers: &HeaderMap) -> bool {
        let essence = headers.get(CONTENT_TYPE).map(|value| essence(value.as_bytes()));
        let split = essence.and_then(|essence| essence.split_at_checked(FAMILY.len()));
        split.is_some_and(|(family, rest)| {
            family.eq_ignore_ascii_case(FAMILY) && (rest.is_empty() || rest.starts_with(['+', '-']))
        })
    }

    /// The media type in its shortest complete form.
    pub const fn media_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Native => "application/grpc",
            Self::Web => "application/grpc-web+proto",
            Self::WebText => "application/grpc-web-text+proto",
        })
    }

    /// The variant of the response: for gRPC-Web base64 if `Accept` prefers it at least as much as the binary form.
    pub fn of_answer(self, headers: &HeaderMap) -> Self {
        if self == Self::Native {
            return self;
        }
        let best = |form: Self| accepted(headers).filter(|(f, _)| *f == form).map(|(_, weight)| weight).max();
        match (best(Self::WebText), best(Self::Web)) {
            (Some(text), binary) if text > 0 && text >= binary.unwrap_or(0) => Self::WebText,
            _ => Self::Web,
        }
    }

    fn of_type(essence: &str) -> Option<Self> {
        TYPES.iter().find(|(name, _)| name.eq_ignore_ascii_case(essence)).map(|(_, form)| *form)
    }
}

/// The variants in `Accept`, each with its weight in thousandths.
fn accepted(headers: &HeaderMap) -> impl Iterator<Item = (GrpcForm, u16)> {
    items(headers, ACCEPT).filter_map(|range| Some((GrpcForm::of_type(essence(range))?, weight(range))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(content_type: impl AsRef<[u8]>, accept: impl AsRef<[u8]>) -> HeaderMap {
        let value = |text: &[u8]| HeaderValue::from_bytes(text).unwrap();
        let (content_type, accept) = (value(content_type.as_ref()), value(accept.as_ref()));
        HeaderMap::from_iter([(CONTENT_TYPE, content_type), (ACCEPT, accept)])
    }

    #[test]
    fn octets_beyond_ascii_hide_nothing_else() {
        let of = |content_type: &[u8]| GrpcForm::of(&headers(content_type, "*/*"));
        assert_eq!(of(b"application/grpc-web+proto; x=\"\xfc\""), Some(GrpcForm::Web));
        assert_eq!(of("application/grpc; x=\"\u{fc};\"".as_bytes()), Some(GrpcForm::Native));
        assert_eq!(of(b"application/grpc-web+pr\xf6to"), None);
        assert!(GrpcForm::is_meant(&headers(b"application/grpc+json;x=\xfc", "*/*")));
        for accept in [
            &b"\xff, application/grpc-web-text"[..],
            b"a/b;x=\"\xfc\", application/grpc-web-text",
            b"a/b;x=\"\xfc, application/grpc-web\", application/grpc-web;q=0.1, application/grpc-web-text;x=\xfc;q=0.5",
        ] {
            let answer = GrpcForm::Web.of_answer(&headers("application/grpc-web", accept));
            assert_eq!(answer, GrpcForm::WebText, "{}", accept.escape_ascii());
        }
    }

    #[test]
    fn media_types_have_no_case_and_may_have_parameters() {
        let of = |content_type: &str| GrpcForm::of(&headers(content_type, "*/*"));
        for native in ["application/grpc", "Application/GRPC+Proto", "application/grpc ; charset=utf-8"] {
            assert_eq!(of(native), Some(GrpcForm::Native), "{native}");
        }
        for web in ["application/grpc-web", "APPLICATION/grpc-web+proto; charset=utf-8; x=y"] {
            assert_eq!(of(web), Some(GrpcForm::Web), "{web}");
        }
        assert_eq!(of("application/grpc-web-text+Proto;a=b"), Some(GrpcForm::WebText));
        for other in
            ["application/grpcfoo", "application/grpc+json", "application/grpc-web+json", "application/json", "", "x"]
        {
            assert_eq!(of(other), None, "{other}");
        }
        let meant = |content_type: &str| GrpcForm::is_meant(&headers(content_type, "*/*"));
        assert!(meant("application/GRPC+json; a=b") && meant("application/grpc-web+thrift"));
        assert!(!meant("application/grpcfoo") && !meant("application/json"));
    }

    #[test]
    fn grpc_web_responses_have_the_requested_form() {
        let of = |accept: &str| GrpcForm::WebText.of_answer(&headers("application/grpc-web-text", accept));
        for text in ["application/grpc-web-text", "*/*;q=0.1, Application/grpc-web-text+proto; q=0.4"] {
            assert_eq!(of(text), GrpcForm::WebText, "{text}");
        }
        for binary in ["*/*", "application/grpc-web-text;q=0", "application/grpc-web-text;q=0.1, application/grpc-web"]
        {
            assert_eq!(of(binary), GrpcForm::Web, "{binary}");
        }
        let native = headers("application/grpc", "application/grpc-web-text");
        assert_eq!(GrpcForm::Native.of_answer(&native), GrpcForm::Native);
    }
}
