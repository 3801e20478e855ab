//! Properties of every input. The property tests and the fuzz targets share them; a failed check panics.

use std::sync::LazyLock;

use http_body_util::{BodyExt as _, Full};
use prost::Message as _;
use tower::ServiceExt as _;
use transcoder::{
    Rest,
    json::{JsonOptions, Msg, Names, Types, decode, encode},
    router::{Found, Path, Router, Template},
};

use crate::{
    proto::conformance::v1::{Everything, TYPES},
    query,
    tables::{Cases, HttpRules, Table},
    templates::leaked,
};

/// proto3 JSON.
pub const PLAIN: JsonOptions = JsonOptions { types: Types(&[TYPES]), ..JsonOptions::PROTO3 };
/// Proto names, 64-bit integers as numbers, defaults written.
pub const SNAKE: JsonOptions =
    JsonOptions { names: Names::Proto, int64_as_number: true, print_defaults: true, ..PLAIN };
/// Null for unset fields.
pub const NULLS: JsonOptions = JsonOptions { unset_as_null: true, ..PLAIN };
/// Names are case-insensitive, unknown members ignored.
pub const LOOSE: JsonOptions = JsonOptions { any_case: true, ignore_unknown: true, ..PLAIN };

/// Reads JSON with several options. What can be read is written, unless it has no JSON form, and read again.
pub fn json(bytes: &[u8]) {
    for options in [PLAIN, SNAKE, NULLS, LOOSE] {
        if let Ok(message) = decode::<Msg<Everything>>(bytes, &options) {
            written(&message, &options);
        }
    }
}

/// Reads the binary format. What can be read is written as JSON, unless it has no JSON form, and read again.
pub fn binary(bytes: &[u8]) {
    let Ok(message) = Everything::decode(bytes) else { return };
    for options in [PLAIN, SNAKE, NULLS, LOOSE] {
        written(&message, &options);
    }
}

fn written(message: &Everything, options: &JsonOptions) {
    let Ok(json) = encode::<Msg<Everything>>(message, options) else { return };
    let text = String::from_utf8_lossy(&json);
    match decode::<Msg<Everything>>(&json, options) {
        // Compared as text, because NaN equals nothing. With plain options, which distinguish unset fields.
        Ok(again) => {
            assert_eq!(encode::<Msg<Everything>>(&again, options).as_ref(), Ok(&json), "{text}");
            let (before, after) = (plain(message), plain(&again));
            assert_eq!(before, after, "{text}");
        }
        // Input has limits that output does not have.
        Err(error) => assert!(is_a_limit(&error), "{error}: {text}"),
    }
}

/// The plain JSON, or why there is none.
fn plain(message: &Everything) -> Result<String, String> {
    let json = encode::<Msg<Everything>>(message, &PLAIN).map_err(|why| why.to_string())?;
    String::from_utf8(json).map_err(|why| why.to_string())
}

fn is_a_limit(error: &transcoder::json::DecodeError) -> bool {
    use transcoder::json::DecodeErrorKind;
    matches!(error.kind, DecodeErrorKind::Depth | DecodeErrorKind::Items)
        || (error.kind == DecodeErrorKind::Syntax && error.offset.is_some())
}

/// All rules of the table of matching, in one router.
static RULES: LazyLock<(Router, Vec<&'static Template>)> = LazyLock::new(|| {
    let (mut router, mut templates) = (Router::default(), Vec::new());
    for rule in sections(Table::HttpRules, |file: HttpRules| file.matching).iter().flat_map(|case| list(&case["rules"]))
    {
        let template = rule["template"].as_str().and_then(|text| leaked(text).ok());
        let method = rule["method"].as_str();
        if let Some((template, method)) = template.zip(method) {
            router.add(method.to_owned().leak(), template);
            templates.push(template);
        }
    }
    (router, templates)
});

/// Finds the rule of a path among all of the tables, and the values of its variables.
pub fn path(path: &str) {
    let (router, templates) = &*RULES;
    let Some(split) = Path::split(path) else { return };
    for method in ["GET", "POST", "HEAD", "PURGE"] {
        if let Found::Rule(rule) = router.find(method, &split) {
            for variable in templates[rule].variables {
                let _ = split.value(templates[rule], variable);
            }
        }
    }
}

static REST: LazyLock<Rest> = LazyLock::new(query::rest);

/// Binds a query through whole calls: on its own, and together with a path variable. It is bound or refused as a bad
/// request.
///
/// # Panics
/// Outside of a runtime, and if a check fails.
pub async fn query(query: &str) {
    for route in ["/echo", "/string/x", "/nested/x"] {
        let Ok(uri) = format!("{route}?{query}").parse::<http::Uri>() else { return };
        let mut request = http::Request::new(Full::new(bytes::Bytes::new()));
        *request.uri_mut() = uri;
        let answer = match REST.clone().oneshot(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        let status = answer.status().as_u16();
        assert!(matches!(status, 200 | 400), "{query}: {status}");
        let body = answer.into_body().collect().await;
        assert!(body.is_ok(), "{query}: the response is truncated");
    }
}

/// Short texts from the tables as fuzzing seeds: JSON, paths, queries.
pub fn seeds(table: Table) -> Vec<String> {
    let texts = match table {
        Table::HttpRules => sections(table, |file: HttpRules| file.matching)
            .iter()
            .flat_map(|case| list(&case["requests"]))
            .filter_map(|request| Some(request["path"].as_str()?.to_owned()))
            .collect(),
        Table::ComplianceSuite => Vec::new(),
        Table::Proto3Json | Table::QueryParams => {
            let member = if table == Table::Proto3Json { "json_in" } else { "query" };
            let cases = sections(table, |file: Cases| file.cases);
            cases.iter().filter_map(|case| Some(case[member].as_str()?.to_owned())).collect::<Vec<_>>()
        }
    };
    texts.into_iter().filter(|text| text.len() < 2_000).collect()
}

fn list(value: &serde_json::Value) -> impl Iterator<Item = &serde_json::Value> {
    value.as_array().into_iter().flatten()
}

/// The cases in those files of a table that can be parsed. The others fail in the test of the table.
fn sections<F: serde::de::DeserializeOwned>(
    table: Table,
    cases: impl Fn(F) -> Vec<serde_json::Value>,
) -> Vec<serde_json::Value> {
    let files = table.files().unwrap_or_default();
    files.iter().filter_map(|file| file.parse::<F>().ok()).flat_map(cases).collect()
}
