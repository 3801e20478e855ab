//! The table of proto3 JSON, from text to message to text and from bytes to text.

use base64::Engine as _;
use prost::Message as _;
use serde_json::Value;
use transcoder::json::{Habits, Msg, Types, decode, encode};
use transcoder_conformance::proto::conformance::v1::{Everything, TYPES};

use crate::support::{list, report, text};

const HABITS: Habits = Habits { types: Types(&[TYPES]), ..Habits::PROTO3 };

#[test]
fn table() {
    let table: Value = serde_json::from_str(include_str!("../../data/proto3_json.json")).unwrap();
    let cases = list(&table, "cases");
    let failures = cases.iter().filter_map(|case| run(case).err().map(|why| format!("{}: {why}", text(case, "name"))));
    report(failures.collect(), cases.len());
}

fn run(case: &Value) -> Result<(), String> {
    let ignore_unknown = case["options"]["ignore_unknown"] == true;
    let habits = Habits { ignore_unknown, ..HABITS };
    let message = match case["proto_in_base64"].as_str() {
        Some(bytes) => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(bytes).unwrap();
            Everything::decode(&*bytes).unwrap()
        }
        None => match decode::<Msg<Everything>>(text(case, "json_in").as_bytes(), &habits) {
            Ok(message) if case["parse_error"] == true => return Err(format!("was read: {message:?}")),
            Ok(message) => message,
            Err(_) if case["parse_error"] == true => return Ok(()),
            Err(fault) => return Err(fault.to_string()),
        },
    };
    match encode::<Msg<Everything>>(&message, &habits) {
        Ok(json) if case["serialize_error"] == true => Err(format!("was written: {}", String::from_utf8_lossy(&json))),
        Ok(json) => {
            let got: Value = serde_json::from_slice(&json).unwrap();
            let want = &case["expect_json_out"];
            if same(&got, want, "") { Ok(()) } else { Err(format!("got {got}, want {want}")) }
        }
        Err(_) if case["serialize_error"] == true => Ok(()),
        Err(why) => Err(why.to_string()),
    }
}

/// Whether two JSON values are the same, those of float fields after they are rounded to float.
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
