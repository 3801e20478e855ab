//! The table of queries, through whole calls.

use http::{StatusCode, Uri};
use serde::Deserialize;
use serde_json::Value;
use transcoder::{
    Rest,
    json::{
        DecodeError, DecodeErrorKind, JsonOptions, Msg, Step, decode, encode,
        text::{Rules, bind},
    },
    percent::decode_query,
};
use transcoder_conformance::{
    proto::conformance::query::v1 as proto,
    query,
    tables::{Cases, File, Table},
};

use crate::{
    schema,
    support::{Tally, call, label, read},
};

#[tokio::test]
async fn table() {
    run(&Table::QueryParams.files().unwrap_or_else(|why| panic!("{why}"))).await.finish();
}

/// Runs the cases of some files.
pub async fn run(files: &[File]) -> Tally {
    let (mut tally, rest) = (Tally::default(), query::rest());
    for file in files {
        let parsed = match file.parse::<Cases>() {
            Ok(parsed) => parsed,
            Err(why) => {
                tally.failures.push(why);
                continue;
            }
        };
        for (index, case) in parsed.cases.iter().enumerate() {
            tally.count(file, &label(index, case), one(&rest, case).await);
        }
        tally.refuse_empty(file, parsed.cases.len());
        let its = parsed.schema.iter().flat_map(|its| schema::differences(its, "conformance.query.v1", "Request"));
        tally.failures.extend(its.map(|why| format!("{}: schema: {why}", file.path)));
    }
    tally
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "field_type")]
    _field_type: Option<String>,
    query: String,
    expect: Value,
    #[serde(default)]
    bound_by_path: Vec<String>,
    #[serde(default)]
    bound_by_body: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedError {
    error: bool,
    field: String,
}

/// The result of a query: the message, or the invalid field and why.
type Outcome = Result<proto::Request, (String, String)>;

async fn one(rest: &Rest, case: &Value) -> Result<(), String> {
    let case: Case = read(case)?;
    let in_path: Vec<_> = case.bound_by_path.iter().map(String::as_str).collect();
    let route = match (&*case.bound_by_body, &*in_path) {
        ("", []) => Some(("GET", "/echo")),
        ("", ["string_value"]) => Some(("GET", "/string/path")),
        ("", ["level.display_name"]) => Some(("GET", "/nested/path")),
        ("level", []) => Some(("POST", "/body/level")),
        ("level", ["string_value"]) => Some(("POST", "/body/level/path")),
        ("repeated_string", []) => Some(("POST", "/body/strings")),
        ("*", []) => Some(("POST", "/body/whole")),
        ("*", ["string_value"]) => Some(("POST", "/body/whole/path")),
        _ => None,
    };
    let got = match route {
        Some((method, path)) => through_a_call(rest, method, &format!("{path}?{}", case.query), &in_path).await?,
        // Our service has no such rule, but the binder alone has the same results.
        None => through_the_binder(&case),
    };
    if case.expect.get("error").is_some() {
        let expect: ExpectedError = read(&case.expect)?;
        return if expect.error {
            refused(got, &expect.field)
        } else {
            Err("error is true, or is not given".to_owned())
        };
    }
    let got = got.map_err(|(field, why)| format!("refused: {field}: {why}"))?;
    let want = decode::<Msg<proto::Request>>(case.expect.to_string().as_bytes(), &JsonOptions::PROTO3);
    let (got, want) = (plain(&got), plain(&want.map_err(|error| format!("expect: {error}"))?));
    if got == want { Ok(()) } else { Err(format!("got {got}, want {want}")) }
}

fn refused(got: Outcome, field: &str) -> Result<(), String> {
    match got {
        Ok(message) => Err(format!("was bound: {}", plain(&message))),
        // The key as it was sent, or the same path in JSON names.
        Err((got, _)) if got == field || in_json_names(&got) == in_json_names(field) => Ok(()),
        Err((got, why)) => Err(format!("field {got:?}, not {field:?}: {why}")),
    }
}

/// As text, because NaN equals nothing.
fn plain(message: &proto::Request) -> String {
    String::from_utf8(encode::<Msg<proto::Request>>(message, &JsonOptions::PROTO3).unwrap()).unwrap()
}

fn in_json_names(key: &str) -> String {
    let mut after_underscore = false;
    key.chars().fold(String::new(), |mut name, c| {
        match c {
            '_' => {}
            _ if after_underscore => name.extend(c.to_uppercase()),
            _ => name.push(c),
        }
        after_underscore = c == '_';
        name
    })
}

async fn through_a_call(rest: &Rest, method: &str, uri: &str, in_path: &[&str]) -> Result<Outcome, String> {
    uri.parse::<Uri>().map_err(|why| format!("the query cannot stand in a request: {why}"))?;
    let answer = call(rest, method, uri, None).await;
    match answer.status {
        StatusCode::OK => {}
        StatusCode::BAD_REQUEST => return Ok(Err((answer.violation().unwrap_or_default(), answer.message()))),
        status => return Err(format!("{status}: {}", answer.message())),
    }
    let mut got =
        decode::<Msg<proto::Request>>(&answer.body, &JsonOptions::PROTO3).map_err(|error| error.to_string())?;
    // The table does not include what the path binds.
    match in_path {
        ["string_value"] => got.string_value.clear(),
        ["level.display_name"] => got.level.get_or_insert_default().display_name.clear(),
        _ => {}
    }
    Ok(Ok(got))
}

fn through_the_binder(case: &Case) -> Outcome {
    let body =
        if case.bound_by_body == "*" { Some("") } else { Some(&*case.bound_by_body).filter(|body| !body.is_empty()) };
    let taken: Vec<&str> = case.bound_by_path.iter().map(String::as_str).chain(body).collect();
    let rules = Rules { taken: &taken, ..Rules::default() };
    let (mut message, mut bound) = (proto::Request::default(), Vec::new());
    for pair in case.query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let mut bind_pair = || {
            let key = decode_query(key)?;
            let value = decode_query(value).map_err(|error| error.within(Step::Member(&key)))?;
            match bind(&mut message, &key, &value, &JsonOptions::PROTO3, &rules, &mut bound)? {
                true => Ok(()),
                false => {
                    Err(DecodeError::new(DecodeErrorKind::Unknown, "unknown query key").within(Step::Member(&key)))
                }
            }
        };
        bind_pair().map_err(|error| (error.path(), error.to_string()))?;
    }
    Ok(message)
}
