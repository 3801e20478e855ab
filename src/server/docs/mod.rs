//! The OpenAPI documents, and the page that shows them and can send calls. Everything is in the program: the page uses
//! no other server, and nothing is decompressed before it is requested.

mod resource;

use std::sync::LazyLock;

use axum::body::Body;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response,
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS},
};

use self::resource::{Resource, Source};

// `OPENAPI`, the documents as `build.rs` generated them.
include!(concat!(env!("OUT_DIR"), "/documents/transcoder.rs"));

/// The permissions of the page: its own scripts and styles, and calls to this server. Swagger UI has its icons as
/// `data:`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'";

/// Headers of every response here.
const HEADERS: [(HeaderName, &str); 7] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    // May be cached, but must be revalidated by the entity tag.
    (CACHE_CONTROL, "no-cache"),
];

/// Placeholder for the list of documents in the script of the page.
const DOCUMENTS: &str = "[/* documents */]";

static RESOURCES: LazyLock<Vec<Resource>> = LazyLock::new(|| {
    let mut all: Vec<_> = OPENAPI.iter().map(|(surface, json)| document_resource(surface, json)).collect();
    all.extend(page());
    all
});

/// The OpenAPI document of a surface, or of all, as compact JSON.
pub fn document(surface: Option<&str>) -> Option<&'static [u8]> {
    let name = surface.unwrap_or_default();
    OPENAPI.iter().find(|(known, _)| *known == name).map(|(_, document)| *document)
}

/// The surfaces with a document.
pub fn surfaces() -> impl Iterator<Item = &'static str> {
    OPENAPI.iter().map(|(surface, _)| *surface).filter(|surface| !surface.is_empty())
}

/// The template of a path that is served here.
pub(super) fn template(path: &str) -> Option<&'static str> {
    find(path).map(|resource| resource.template)
}

/// Responds to GET for a path, if it is served here.
pub(super) fn answer(path: &str, headers: &HeaderMap) -> Option<Response<Body>> {
    let mut response = find(path)?.answer(headers);
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Some(response)
}

fn find(path: &str) -> Option<&'static Resource> {
    // Every REST call passes here, so other paths cost only two comparisons.
    if !path.starts_with("/docs") && !path.starts_with("/openapi") {
        return None;
    }
    RESOURCES.iter().find(|resource| resource.paths.iter().any(|known| known == path))
}

fn document_resource(surface: &str, json: &'static [u8]) -> Resource {
    let (path, template) = if surface.is_empty() {
        ("/openapi.json".to_owned(), "/openapi.json")
    } else {
        (format!("/openapi/{surface}.json"), "/openapi/{surface}.json")
    };
    Resource::new(vec![path], template, "application/json", Source::Plain(json.into()))
}

/// The page, its own script and style, and Swagger UI.
fn page() -> Vec<Resource> {
    let file = |name: &str, kind, source| Resource::new(vec![format!("/docs/{name}")], "/docs/{file}", kind, source);
    let index = Source::Plain(include_bytes!("index.html").as_slice().into());
    let start = include_str!("start.js").replace(DOCUMENTS, &documents());
    macro_rules! packed {
        ($name:literal) => {
            Source::Gzip(include_bytes!(concat!(env!("OUT_DIR"), "/docs/", $name, ".gz")))
        };
    }
    let (html, script, style) =
        ("text/html; charset=utf-8", "text/javascript; charset=utf-8", "text/css; charset=utf-8");
    vec![
        Resource::new(vec!["/docs".to_owned(), "/docs/".to_owned()], "/docs", html, index),
        file("start.js", script, Source::Plain(start.into_bytes().into())),
        file("page.css", style, Source::Plain(include_bytes!("page.css").as_slice().into())),
        file("swagger-ui.css", style, packed!("swagger-ui.css")),
        file("swagger-ui-bundle.js", script, packed!("swagger-ui-bundle.js")),
        file("swagger-ui-standalone-preset.js", script, packed!("swagger-ui-standalone-preset.js")),
        file("favicon-32x32.png", "image/png", packed!("favicon-32x32.png")),
    ]
}

/// The documents in the format of Swagger UI; the one of all surfaces is the last, because it is the longest.
fn documents() -> String {
    let each = surfaces().map(|surface| (surface, format!("/openapi/{surface}.json")));
    let all = each.chain(std::iter::once(("everything", "/openapi.json".to_owned())));
    serde_json::Value::from_iter(all.map(|(name, url)| serde_json::json!({"name": name, "url": url}))).to_string()
}
