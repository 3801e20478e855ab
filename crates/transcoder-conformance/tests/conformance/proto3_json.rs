//! The table of proto3 JSON, from text to message to text and from bytes to text.

use base64::Engine as _;
use serde::Deserialize;
use serde_json::Value;
use transcoder::json::{JsonOptions, Message, Msg, Types, decode, encode};
use transcoder_conformance::{
    proto::conformance::v1::{Everything, Inner, Leaf, TYPES},
    tables::{Cases, File, Table},
};

use crate::{
    schema,
    support::{Tally, label, read},
};

const HABITS: JsonOptions = JsonOptions { types: Types(&[TYPES]), ..JsonOptions::PROTO3 };

#[test]
fn table() {
    run(&Table::Proto3Json.files().unwrap_or_else(|why| panic!("{why}"))).finish();
}

/// Runs the cases of some files.
pub fn run(files: &[File]) -> Tally {
    let mut tally = Tally::default();
    for file in files {
        let parsed = match file.parse::<Cases>() {
            Ok(parsed) => parsed,
            Err(why) => {
                tally.failures.push(why);
                continue;
            }
        };
        for (index, case) in parsed.cases.iter().enumerate() {
            tally.count(file, &label(index, case), one(case));
        }
        tally.refuse_empty(file, parsed.cases.len());
        let differences = parsed.schema.iter().flat_map(|its| schema::differences(its, "conformance.v1", "Everything"));
        tally.failures.extend(differences.map(|why| format!("{}: schema: {why}", file.path)));
    }
    tally
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    message: Option<String>,
    json_in: Option<String>,
    proto_in_base64: Option<String>,
    expect_json_out: Option<Value>,
    #[serde(default)]
    parse_error: bool,
    #[serde(default)]
    serialize_error: bool,
    #[serde(default)]
    options: Options,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    ignore_unknown: bool,
}

fn one(case: &Value) -> Result<(), String> {
    let case: Case = read(case)?;
    if case.json_in.is_some() == case.proto_in_base64.is_some() {
        return Err("a case has either json_in or proto_in_base64".to_owned());
    }
    let expectations = [case.expect_json_out.is_some(), case.parse_error, case.serialize_error];
    if expectations.into_iter().filter(|given| *given).count() != 1 {
        return Err("a case has one of expect_json_out, parse_error and serialize_error".to_owned());
    }
    match case.message.as_deref().unwrap_or("Everything") {
        "Everything" => of::<Everything>(&case),
        "Inner" => of::<Inner>(&case),
        "Leaf" => of::<Leaf>(&case),
        other => Err(format!("our schema has no message {other:?}")),
    }
}

fn of<M: Message + prost::Message + std::fmt::Debug>(case: &Case) -> Result<(), String> {
    let options = JsonOptions { ignore_unknown: case.options.ignore_unknown, ..HABITS };
    let message = match (&case.json_in, &case.proto_in_base64) {
        (Some(json), _) => match decode::<Msg<M>>(json.as_bytes(), &options) {
            Ok(message) if case.parse_error => return Err(format!("was read: {message:?}")),
            Ok(message) => message,
            Err(_) if case.parse_error => return Ok(()),
            Err(error) => return Err(error.to_string()),
        },
        (None, bytes) => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(bytes.as_deref().unwrap_or_default());
            let bytes = bytes.map_err(|why| format!("proto_in_base64: {why}"))?;
            M::decode(&*bytes).map_err(|why| format!("proto_in_base64: {why}"))?
        }
    };
    if case.parse_error {
        return Err("parse_error is of json_in".to_owned());
    }
    written(&message, case, &options)
}

fn written<M: Message>(message: &M, case: &Case, options: &JsonOptions) -> Result<(), String> {
    let json = match encode::<Msg<M>>(message, options) {
        Ok(json) => String::from_utf8(json).map_err(|why| why.to_string())?,
        Err(_) if case.serialize_error => return Ok(()),
        Err(why) => return Err(why.to_string()),
    };
    let Some(want) = &case.expect_json_out else { return Err(format!("was written: {json}")) };
    let got: Value = serde_json::from_str(&json).map_err(|why| format!("wrote {json}: {why}"))?;
    if same(&got, want, "") { Ok(()) } else { Err(format!("got {got}, want {want}")) }
}

/// Whether two JSON values are equal, with float fields rounded to float first.
fn same(got: &Value, want: &Value, name: &str) -> bool {
    match (got, want) {
        (Value::Number(got), Value::Number(want)) => {
            let (a, b) = (got.as_f64().unwrap(), want.as_f64().unwrap());
            let rounded = name.to_ascii_lowercase().contains("float") && a as f32 == b as f32;
            let whole = got.as_i64().is_some() && want.as_i64().is_some();
            if whole { got.as_i64() == want.as_i64() } else { a == b || rounded }
        }
        (Value::Array(got), Value::Array(want)) => {
            got.len() == want.len() && got.iter().zip(want).all(|(got, want)| same(got, want, name))
        }
        (Value::Object(got), Value::Object(want)) => {
            let inner = |key: &str| if name.contains("loat") { name.to_owned() } else { key.to_owned() };
            got.len() == want.len()
                && got.iter().all(|(key, got)| want.get(key).is_some_and(|want| same(got, want, &inner(key))))
        }
        (got, want) => got == want,
    }
}
