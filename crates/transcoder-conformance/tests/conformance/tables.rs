//! The tables themselves: added files count, and unreadable ones are reported.

use std::{fs, path::PathBuf};

use tempfile::TempDir;
use transcoder_conformance::tables::{File, Table, VARIABLE, with_named};

use crate::{compliance, http_rules, proto3_json, query_params};

/// A folder with one file.
fn folder(name: &str, text: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(name), text).unwrap();
    let path = dir.path().to_owned();
    (dir, path)
}

fn own() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/conformance"))
}

/// How many cases ran, and which failed.
type Ran = (usize, Vec<String>);

async fn ran(table: Table, files: Vec<File>) -> Ran {
    let tallies = match table {
        Table::HttpRules => http_rules::run(&files).into(),
        Table::QueryParams => vec![query_params::run(&files).await],
        Table::Proto3Json => vec![proto3_json::run(&files)],
        Table::ComplianceSuite => vec![compliance::run(files).await],
    };
    let cases = tallies.iter().map(|tally| tally.cases).sum();
    (cases, tallies.into_iter().flat_map(|tally| tally.failures).collect())
}

/// A table, the content of an additional file, its number of cases, and the expected failure: empty if none.
const ADDED: &[(Table, &str, usize, &str)] = &[
    (
        Table::HttpRules,
        r#"{"templates_valid": [{"template": "/a", "segments": ["a"], "verb": "", "variables": []}]}"#,
        1,
        "",
    ),
    (
        Table::HttpRules,
        r#"{"templates_valid": [{"template": "/a", "segments": ["b"], "verb": "", "variables": []}]}"#,
        1,
        "templates_valid: case 0",
    ),
    (
        Table::HttpRules,
        r#"{"templates_invalid": [{"template": "a"}, {"template": "/a"}]}"#,
        2,
        "templates_invalid: case 1",
    ),
    (
        Table::HttpRules,
        r#"{"conflicts": [{"name": "n", "conflict": true, "rules": [{"id": "1", "method": "GET", "template": "/a/{x}"}, {"id": "2", "method": "GET", "template": "/a/*"}]}]}"#,
        1,
        "",
    ),
    (
        Table::HttpRules,
        r#"{"conflicts": [{"name": "n", "conflict": false, "rules": [{"id": "1", "method": "GET", "template": "/a/{x}"}, {"id": "2", "method": "GET", "template": "/a/*"}]}]}"#,
        1,
        "\"n\": got true, want false",
    ),
    (Table::HttpRules, r#"{"conflicts": [{"name": "n", "conflict": false, "rules": []}]}"#, 1, "fewer than two rules"),
    (
        Table::HttpRules,
        r#"{"matching": [{"name": "n", "rules": [{"id": "1", "method": "GET", "template": "/a/{x}"}], "requests": [{"method": "GET", "path": "/a/b", "expect": {"id": "1", "bindings": {"x": "b"}}}, {"method": "PUT", "path": "/a/b", "expect": {"status": 405, "allow": ["GET", "HEAD"]}}]}]}"#,
        1,
        "",
    ),
    (
        Table::HttpRules,
        r#"{"matching": [{"name": "n", "rules": [{"id": "1", "method": "GET", "template": "/a/{x}"}], "requests": [{"method": "GET", "path": "/a/b", "expect": {"id": "1", "bindings": {"x": "c"}}}]}]}"#,
        1,
        "GET /a/b: got",
    ),
    (
        Table::HttpRules,
        r#"{"matching": [{"name": "n", "rules": [{"id": "1", "method": "GET", "template": "/a"}], "requests": [{"method": "PUT", "path": "/a", "expect": {"status": 405, "allow": ["POST"]}}]}]}"#,
        1,
        "PUT /a: got",
    ),
    (
        Table::HttpRules,
        r#"{"matching": [{"name": "n", "rules": [], "requests": [{"method": "GET", "path": "/a", "expect": {}}]}]}"#,
        1,
        "expect is",
    ),
    (Table::HttpRules, r#"{"matching": [{"name": "n", "rules": [], "requests": []}]}"#, 1, "no request in it"),
    (
        Table::HttpRules,
        r#"{"matching": [{"name": "n", "rules": [], "requests": [], "heaers": 1}]}"#,
        1,
        "unknown field `heaers`",
    ),
    (Table::HttpRules, r#"{"matching": []}"#, 0, "no case in it"),
    (Table::HttpRules, r#"{"macthing": []}"#, 0, "unknown field `macthing`"),
    (Table::QueryParams, r#"{"cases": [{"name": "n", "query": "int32_value=1", "expect": {"int32Value": 1}}]}"#, 1, ""),
    (
        Table::QueryParams,
        r#"{"cases": [{"name": "n", "query": "int32_value=1", "expect": {"int32Value": 2}}]}"#,
        1,
        "case 0, \"n\": got",
    ),
    (
        Table::QueryParams,
        r#"{"cases": [{"name": "n", "query": "int32_value=x", "expect": {"int32Value": 2}}]}"#,
        1,
        "refused: int32_value",
    ),
    (
        Table::QueryParams,
        r#"{"cases": [{"name": "n", "query": "int32_value=x", "expect": {"error": true, "field": "int32Value"}}]}"#,
        1,
        "",
    ),
    (
        Table::QueryParams,
        r#"{"cases": [{"name": "n", "query": "int32_value=x", "expect": {"error": true, "field": "other"}}]}"#,
        1,
        "field \"int32_value\", not \"other\"",
    ),
    (
        Table::QueryParams,
        r#"{"cases": [{"name": "n", "query": "int32_value=1", "expect": {"error": true, "field": "int32Value"}}]}"#,
        1,
        "was bound",
    ),
    (
        Table::QueryParams,
        r#"{"cases": [{"name": "n", "query": "", "expect": {"error": false, "field": ""}}]}"#,
        1,
        "error is true",
    ),
    (
        Table::QueryParams,
        r#"{"cases": [{"name": "n", "query": "", "expect": {"int32Valeu": 1}}]}"#,
        1,
        "int32Valeu: unknown member",
    ),
    (
        Table::QueryParams,
        r#"{"cases": [{"name": "n", "query": "color=1", "expect": {"error": true, "field": "color"}, "bound_by_path": ["color"]}]}"#,
        1,
        "",
    ),
    (
        Table::QueryParams,
        r#"{"cases": [{"name": "n", "query": "level.size=1&color=RED", "expect": {"color": 1}, "bound_by_body": "level"}]}"#,
        1,
        "refused: level.size",
    ),
    (
        Table::QueryParams,
        r#"{"cases": [{"name": "n", "query": "oneof_level.size=1&color=RED", "expect": {"color": 1}, "bound_by_body": "oneof_level"}]}"#,
        1,
        "refused: oneof_level.size",
    ),
    (
        Table::QueryParams,
        r#"{"cases": [{"name": "n", "query": "", "expect": {}, "bound_by": 1}]}"#,
        1,
        "unknown field `bound_by`",
    ),
    (
        Table::QueryParams,
        r#"{"cases": [], "schema": {"package": "conformance.query.v1", "syntax": "proto3", "root": "Request", "messages": {"Request": [{"number": 999, "name": "planned", "type": "int32"}]}}}"#,
        0,
        "our protos have no field conformance.query.v1.Request.planned",
    ),
    (Table::QueryParams, "{}", 0, "no case in it"),
    (
        Table::Proto3Json,
        r#"{"cases": [{"name": "n", "json_in": "{\"oneInt32\": 1}", "expect_json_out": {"oneInt32": 1}}]}"#,
        1,
        "",
    ),
    (
        Table::Proto3Json,
        r#"{"cases": [{"name": "n", "json_in": "{\"oneInt32\": 1}", "expect_json_out": {"oneInt32": 2}}]}"#,
        1,
        "case 0, \"n\": got",
    ),
    (
        Table::Proto3Json,
        r#"{"cases": [{"name": "n", "json_in": "{\"b\": 1}", "expect_json_out": {"b": "1"}, "message": "Leaf"}]}"#,
        1,
        "",
    ),
    (
        Table::Proto3Json,
        r#"{"cases": [{"name": "n", "json_in": "{}", "expect_json_out": {}, "message": "Twig"}]}"#,
        1,
        "no message \"Twig\"",
    ),
    (Table::Proto3Json, r#"{"cases": [{"name": "n", "json_in": "{}", "parse_error": true}]}"#, 1, "was read"),
    (Table::Proto3Json, r#"{"cases": [{"name": "n", "json_in": "{}", "serialize_error": true}]}"#, 1, "was written"),
    (
        Table::Proto3Json,
        r#"{"cases": [{"name": "n", "json_in": "{}", "parse_error": false}]}"#,
        1,
        "one of expect_json_out",
    ),
    (Table::Proto3Json, r#"{"cases": [{"name": "n", "expect_json_out": {}}]}"#, 1, "either json_in or proto_in_base64"),
    (
        Table::Proto3Json,
        r#"{"cases": [{"name": "n", "proto_in_base64": "CAE=", "expect_json_out": {"oneInt32": 1}}]}"#,
        1,
        "",
    ),
    (
        Table::Proto3Json,
        r#"{"cases": [{"name": "n", "proto_in_base64": "CAE", "expect_json_out": {"oneInt32": 1}}]}"#,
        1,
        "proto_in_base64: ",
    ),
    (
        Table::Proto3Json,
        r#"{"cases": [{"name": "n", "json_in": "{}", "expect_json_out": {}, "options": {"ignore": true}}]}"#,
        1,
        "unknown field `ignore`",
    ),
    (
        Table::Proto3Json,
        r#"{"cases": [{"name": "n", "json_in": "{}", "expect_json_out": {}}], "schema": {"package": "conformance.v1", "syntax": "proto3", "root": "Everything", "messages": {"Leaf": [{"number": 1, "name": "b", "type": "int32"}]}}}"#,
        1,
        "conformance.v1.Leaf.b: its type is \"int32\", ours is \"int64\"",
    ),
    (
        Table::ComplianceSuite,
        r#"{"group": [{"name": "g", "rpcs": ["Compliance.RepeatDataBody", "Compliance.RepeatDataQuery"], "requests": [{"name": "x", "serverVerify": true, "info": {"pInt64": 0}}]}]}"#,
        4,
        "",
    ),
    (
        Table::ComplianceSuite,
        r#"{"group": [{"name": "g", "rpcs": ["Compliance.RepeatDataSimplePath"], "requests": [{"name": "x", "intendedBindingUri": "/other"}]}]}"#,
        2,
        "RepeatDataSimplePath",
    ),
    (
        Table::ComplianceSuite,
        r#"{"group": [{"name": "g", "rpcs": ["Compliance.RepeatNothing"], "requests": [{"name": "x"}]}]}"#,
        2,
        "no Repeat RPC is named \"RepeatNothing\"",
    ),
    (
        Table::ComplianceSuite,
        r#"{"group": [{"name": "g", "rpcs": ["Compliance.RepeatDataBody"]}]}"#,
        1,
        "no call in it",
    ),
    (Table::ComplianceSuite, r#"{"group": [{"name": "g", "requsets": []}]}"#, 0, "requsets: unknown member"),
    (Table::ComplianceSuite, "{}", 0, "no case in it"),
];

/// An additional file counts: its correct cases pass, its wrong ones fail with file and case.
#[tokio::test]
async fn added_files_count() {
    for &(table, text, cases, wrong) in ADDED {
        let name = format!("{}.more.json", table.stem());
        let (_dir, path) = folder(&name, text);
        let (ran, failures) = ran(table, table.read(&[path]).unwrap()).await;
        assert_eq!(ran, cases, "{text}: {failures:?}");
        if wrong.is_empty() {
            assert_eq!(failures, [""; 0], "{text}");
        } else {
            assert!(!failures.is_empty(), "{text}: nothing failed");
            assert!(failures.iter().all(|why| why.contains(&name)), "{text}: {failures:?}");
            assert!(failures.iter().any(|why| why.contains(wrong)), "{text}: {failures:?}");
        }
    }
}

#[test]
fn file_names_select_the_table() {
    for name in ["http_rules.json", "http_rules.more.json", "http_rules-more.json", "http_rules_more.json"] {
        assert!(Table::HttpRules.has(name), "{name}");
    }
    for name in ["http_rules.md", "http_rulesmore.json", "more_http_rules.json", "query_params.json", "http_rules"] {
        assert!(!Table::HttpRules.has(name), "{name}");
    }
}

#[tokio::test]
async fn unreadable_files_are_reported() {
    let missing = with_named(own(), PathBuf::from("there/is/none")).unwrap_err();
    assert!(missing.contains(VARIABLE) && missing.contains("there/is/none"), "{missing}");
    let (_dir, path) = folder("notes.json", "{}");
    let empty = with_named(own(), path.clone()).unwrap_err();
    assert!(empty.contains("has no file of the tables http_rules, query_params"), "{empty}");
    assert!(Table::Proto3Json.read(&[path]).unwrap_err().contains("no proto3_json.json"));
    for table in Table::ALL {
        let name = format!("{}.json", table.stem());
        let (_dir, path) = folder(&name, "not JSON");
        let (cases, failures) = ran(table, table.read(&[path]).unwrap()).await;
        assert!(cases == 0 && failures.iter().any(|why| why.contains(&name)), "{failures:?}");
    }
}

#[test]
fn a_named_folder_is_read_in_addition() {
    let (_dir, path) = folder("http_rules.json", "{}");
    let both = with_named(own(), path).unwrap();
    assert_eq!(both.len(), 2);
    let own_files = Table::HttpRules.read(&both[..1]).unwrap().len();
    assert_eq!(Table::HttpRules.read(&both).unwrap().len(), own_files + 1);
    // The own folder is not read twice.
    assert_eq!(with_named(own(), own()).unwrap(), [own()]);
}
