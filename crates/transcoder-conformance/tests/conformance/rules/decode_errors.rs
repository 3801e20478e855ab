//! The details that a dialect gets about a decoding error: where, what was expected, and the value.

use serde_json::{Value, json};

use super::forms::send;

/// The decoding error of a form, without the members that are null.
async fn error(method: &str, uri: &str, body: Option<&str>) -> Value {
    let (status, mut answer) = send(method, uri, body).await;
    assert_eq!(status, 400, "{uri} {body:?}");
    let mut error = answer["decode_error"].take();
    error.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    error
}

async fn in_body(body: &str) -> Value {
    error("POST", "/forms", Some(body)).await
}

#[tokio::test]
async fn wrong_values() {
    let long = format!("{:?}", "x".repeat(101));
    let short = "x".repeat(100);
    for (body, kind, steps, expected, input) in [
        (r#"{"title": 5}"#, "WrongType", json!(["title"]), "String", json!(5)),
        (r#"{"title": [1]}"#, "WrongType", json!(["title"]), "String", json!(null)),
        (r#"{"tags": [false]}"#, "WrongType", json!(["tags", 0]), "String", json!(false)),
        (r#"{"tags": "a"}"#, "WrongType", json!(["tags"]), "List", json!("a")),
        (r#"{"tags": ["a", 1.5]}"#, "WrongType", json!(["tags", 1]), "String", json!(1.5)),
        (r#"{"boxes": {"k": "yes"}}"#, "WrongType", json!(["boxes", "k"]), "Boolean", json!("yes")),
        (r#"{"boxes": -1}"#, "WrongType", json!(["boxes"]), "Object", json!(-1)),
        (r#"{"urgent": 1}"#, "WrongType", json!(["urgent"]), "Boolean", json!(1)),
        (r#"{"pages": "many"}"#, "WrongType", json!(["pages"]), "Int32", json!("many")),
        (r#"{"pages": 1.5}"#, "WrongType", json!(["pages"]), "Int32", json!(1.5)),
        (r#"{"pages": true}"#, "WrongType", json!(["pages"]), "Int32", json!(true)),
        (r#"{"pages": 3000000000}"#, "OutOfRange", json!(["pages"]), "Int32", json!(3_000_000_000_u64)),
        (r#"{"serial": "-1"}"#, "OutOfRange", json!(["serial"]), "UInt64", json!("-1")),
        (r#"{"weight": "heavy"}"#, "WrongType", json!(["weight"]), "Number", json!("heavy")),
        (r#"{"shade": "PINK"}"#, "WrongType", json!(["shade"]), "Enum", json!("PINK")),
        (r#"{"shade": false}"#, "WrongType", json!(["shade"]), "Enum", json!(false)),
        (r#"{"signedAt": "today"}"#, "WrongType", json!(["signedAt"]), "Timestamp", json!("today")),
        (r#"{"signedAt": 5}"#, "WrongType", json!(["signedAt"]), "Timestamp", json!(5)),
        (r#"{"validFor": "5"}"#, "WrongType", json!(["validFor"]), "Duration", json!("5")),
        (r#"{"mask": "a b"}"#, "WrongType", json!(["mask"]), "FieldMask", json!("a b")),
        (r#"{"seal": "?"}"#, "WrongType", json!(["seal"]), "Base64", json!("?")),
        (r#"{"extra": [1]}"#, "WrongType", json!(["extra"]), "Object", json!(null)),
        (r#"{"signature": {"at": "x"}}"#, "WrongType", json!(["signature", "at"]), "Int64", json!("x")),
        (
            r#"{"witnesses": [{}, {"deputyOf": {"at": {}}}]}"#,
            "WrongType",
            json!(["witnesses", 1, "deputyOf", "at"]),
            "Int64",
            json!(null),
        ),
        (r#""form""#, "WrongType", json!([]), "Object", json!("form")),
        (&*format!(r#"{{"pages": {long}}}"#), "WrongType", json!(["pages"]), "Int32", json!(null)),
        (&*format!(r#"{{"pages": "{short}"}}"#), "WrongType", json!(["pages"]), "Int32", json!(short)),
    ] {
        let mut want = json!({"kind": kind, "part": "Body", "steps": steps, "expected": expected, "input": input});
        want.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        assert_eq!(in_body(body).await, want, "{body}");
    }
}

#[tokio::test]
async fn other_decode_errors() {
    for (body, kind, steps) in [
        (r#"{"nope": 1}"#, "Unknown", json!(["nope"])),
        (r#"{"signature": {"nope": 1}}"#, "Unknown", json!(["signature", "nope"])),
        (r#"{"tags": [null]}"#, "Null", json!(["tags", 0])),
        (r#"{"title": "a", "title": "b"}"#, "Duplicate", json!(["title"])),
    ] {
        assert_eq!(in_body(body).await, json!({"kind": kind, "part": "Body", "steps": steps}), "{body}");
    }
}

#[tokio::test]
async fn the_byte_of_the_syntax_error() {
    for (body, offset) in
        [("{", 1), (r#"{"title" 5}"#, 9), ("{\n  \"title\": oops\n}", 13), ("{} {}", 3), (r#"{"title": "a",}"#, 14)]
    {
        let want = json!({"kind": "Syntax", "part": "Body", "steps": [], "offset": offset});
        assert_eq!(in_body(body).await, want, "{body}");
    }
}

#[tokio::test]
async fn secrets_are_not_repeated() {
    for body in [
        r#"{"password": 12345}"#,
        r#"{"vault": {"at": "hunter2"}}"#,
        r#"{"vault": {"deputyOf": {"key": 12345}}}"#,
        r#"{"vault": "hunter2"}"#,
    ] {
        let (_, answer) = send("POST", "/forms", Some(body)).await;
        assert_eq!(
            (&answer["decode_error"]["kind"], &answer["decode_error"]["input"]),
            (&json!("WrongType"), &json!(null)),
            "{body}"
        );
        let text = answer.to_string();
        assert!(!text.contains("hunter2") && !text.contains("12345"), "{text}");
    }
    let query = error("PUT", "/forms/f?form.vault.at=hunter2", Some("{}")).await;
    assert_eq!(query["kind"], "Bound");
    assert!(query.get("input").is_none(), "{query}");
}

#[tokio::test]
async fn queries_and_paths() {
    let query = error("DELETE", "/forms/f?signature.at=x%20y", None).await;
    let want =
        json!({"kind": "WrongType", "part": "Query", "steps": ["signature.at"], "expected": "Int64", "input": "x y"});
    assert_eq!(query, want);
    let query = error("DELETE", "/forms/f?nope=1", None).await;
    assert_eq!(query, json!({"kind": "Unknown", "part": "Query", "steps": ["nope"]}));
    let query = error("DELETE", "/forms/f?drop_pages=perhaps", None).await;
    assert_eq!((&query["expected"], &query["input"]), (&json!("Boolean"), &json!("perhaps")));
    let path = error("POST", "/forms/many/titled?pages=x", Some("{}")).await;
    assert_eq!((&path["kind"], &path["part"]), (&json!("Bound"), &json!("Query")));
    let path = error("POST", "/forms/%FF/titled", Some("{}")).await;
    assert_eq!((&path["kind"], &path["part"]), (&json!("Encoding"), &json!("Path")));
}
