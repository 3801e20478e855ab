//! The JSON options of the surfaces.

use serde_json::{Value, json};

use super::fixture::Fixture;
use crate::support::call;

async fn put(surface: &str, body: &str) -> (u16, Value) {
    let answer = call(&Fixture::new().rest, "PUT", &format!("/{surface}/things"), Some(body)).await;
    (answer.status.as_u16(), answer.json())
}

const FULL: &str = r#"{
    "name": "a", "byteSize": "9007199254740993", "longNote": "n", "madeAt": "2026-01-31T12:00:00.123456789+01:00",
    "tags": ["x"], "counts": {"k": 1}, "ready": true, "owner": {"tenant": "t"}, "shade": "SHADE_DARK", "limit": 5
}"#;

#[tokio::test]
async fn snake() {
    let (status, body) = put("snake", FULL).await;
    let want = json!({
        "name": "a", "byte_size": 9_007_199_254_740_993_i64, "long_note": "n", "made_at": "2026-01-31T11:00:00.123456",
        "tags": ["x"], "counts": {"k": 1}, "ready": true, "owner": {"tenant": "t", "place": null},
        "shade": "SHADE_DARK", "extra": null, "limit": 5,
    });
    assert_eq!((status, body), (200, want));
    let empty = json!({
        "name": "", "byte_size": 0, "long_note": null, "made_at": null, "tags": [], "counts": {}, "ready": false,
        "owner": null, "shade": "SHADE_UNSPECIFIED", "extra": null, "limit": null,
    });
    // Unknown members are ignored, but names are case-sensitive.
    assert_eq!(put("snake", r#"{"nope": {"a": [1]}, "NAME": "a", "shade": "NOPE"}"#).await, (200, empty));
    // Errors spell fields like the surface.
    let (status, told) = put("snake", r#"{"byteSize": "many"}"#).await;
    assert!(status == 400 && told.to_string().contains("byte_size: "), "{told}");
}

#[tokio::test]
async fn errors_spell_members_like_responses() {
    for body in [r#"{"byteSize": "x"}"#, r#"{"byte_size": "x"}"#] {
        let (status, answer) = put("snake", body).await;
        let text = answer["error"]["message"].as_str().unwrap_or_default();
        assert_eq!((status, text.starts_with("byte_size: ")), (400, true), "{answer}");
    }
}

#[tokio::test]
async fn loose() {
    let (status, body) = put("loose", FULL).await;
    let want = json!({
        "name": "a", "byteSize": "9007199254740993", "longNote": "n", "madeAt": "2026-01-31T11:00:00.123456Z",
        "tags": ["x"], "counts": {"k": 1}, "ready": true, "owner": {"tenant": "t"}, "shade": "SHADE_DARK", "limit": "5",
    });
    assert_eq!((status, body), (200, want));
    let (status, body) =
        put("loose", r#"{"NAME": "a", "BYTESIZE": 1, "Long_Note": "n", "OWNER": {"TeNaNt": "t"}, "nope": 1}"#).await;
    assert_eq!(status, 200);
    assert_eq!((&body["name"], &body["byteSize"], &body["longNote"]), (&json!("a"), &json!("1"), &json!("n")));
    assert_eq!(body["owner"]["tenant"], "t");
    // The same field in two spellings is a duplicate.
    assert_eq!(put("loose", r#"{"NAME": "a", "name": "b"}"#).await.0, 400);
}

#[tokio::test]
async fn terse_omits_defaults() {
    assert_eq!(put("terse", "{}").await, (200, json!({"limit": null, "owner": null})));
    let defaults = r#"{"name": "", "byteSize": 0, "tags": [], "counts": {}, "ready": false, "shade": 0, "limit": 0}"#;
    assert_eq!(
        put("terse", defaults).await,
        (200, json!({"limit": 0, "owner": null})),
        "a set optional field must be written even if it has its default value"
    );
    let full = json!({
        "name": "a", "byteSize": "1", "tags": [""], "counts": {"": 0}, "ready": true, "shade": "SHADE_DARK", "limit": 5,
        "owner": {"place": null}, "anything": {"a": [null]}, "nothing": null,
    });
    assert_eq!(put("terse", &full.to_string()).await, (200, full));
}

#[tokio::test]
async fn null_is_not_absence_where_it_is_a_value() {
    // Readers of the response would take null as a set value.
    let (_, body) = put("terse", "{}").await;
    assert_eq!((body.get("anything"), body.get("nothing")), (None, None), "{body}");
    let (_, body) = put("terse", r#"{"anything": null, "nothing": null}"#).await;
    assert_eq!((body.get("anything"), body.get("nothing")), (Some(&Value::Null), Some(&Value::Null)), "{body}");
}

#[tokio::test]
async fn query_keys() {
    let fixture = Fixture::new();
    let get = async |uri: &str| {
        let answer = call(&fixture.rest, "GET", uri, None).await;
        (answer.status.as_u16(), answer.json())
    };
    let (status, body) = get("/loose/things/x?BYTE_SIZE=3&OWNER.tenant=t&nope=1&owner.nope=2").await;
    assert_eq!((status, &body["byteSize"], &body["owner"]["tenant"]), (200, &json!("3"), &json!("t")));
    let (status, body) = get("/snake/things/x?byteSize=3&nope=1").await;
    assert_eq!((status, &body["byte_size"]), (200, &json!(3)));
    assert_eq!(get("/snake/things/x?name=y").await.0, 400, "a field that the path binds must not be in the query");
    assert_eq!(get("/loose/things/x?NAME=y").await.0, 400, "a field that the path binds must not be in the query");
    let (status, body) = get("/strict/things/x?nope=1").await;
    assert_eq!((status, &body["kind"], &body["path"]), (400, &json!("Unknown"), &json!("nope")));
    assert_eq!(get("/strict/things/x?NAME=y").await.0, 400);
}

#[tokio::test]
async fn any_of_a_known_type() {
    let any = r#"{"extra": {"tenant": "t", "@type": "types.example/conformance.rules.v1.Owner"}}"#;
    let (status, body) = put("snake", any).await;
    let want = json!({"@type": "types.example/conformance.rules.v1.Owner", "tenant": "t", "place": null});
    assert_eq!((status, &body["extra"]), (200, &want));
}

#[tokio::test]
async fn documented_keys_in_any_case() {
    let fixture = Fixture::new();
    let keys = async |method: &str, uri: &str, body: Option<&str>| {
        let answer = call(&fixture.rest, method, uri, body).await;
        (answer.status.as_u16(), answer.json())
    };
    let want = json!({"ID": "i", "tenantID": "t", "ProjectID": "p", "TTLMinutes": "5"});
    for body in [
        r#"{"ID": "i", "tenantID": "t", "ProjectID": "p", "TTLMinutes": 5}"#,
        r#"{"id": "i", "TENANTID": "t", "projectID": "p", "ttlMinutes": "5"}"#,
        r#"{"Id": "i", "tenantId": "t", "projectid": "p", "ttl_minutes": "5"}"#,
        r#"{"id": "i", "tenant_id": "t", "PROJECT_ID": "p", "TTLMINUTES": 5.0}"#,
    ] {
        assert_eq!(keys("PUT", "/loose/keys", Some(body)).await, (200, want.clone()), "{body}");
    }
    let (status, body) = keys("PUT", "/loose/keys", Some(r#"{"PARENTKEYS": {"Parent": {"Tenant_ID": "t"}}}"#)).await;
    assert_eq!((status, &body["parentKeys"]["parentKeys"]["tenantID"]), (200, &json!("t")));
    let (status, body) = keys("GET", "/loose/keys/t?id=i&PROJECTID=p&TtlMinutes=5&parent.TENANTID=u", None).await;
    assert_eq!((status, &body["TTLMinutes"], &body["parentKeys"]["tenantID"]), (200, &json!("5"), &json!("u")));
    for body in [
        // Numbers are not converted to strings, nor texts to integers.
        r#"{"tenantID": 5}"#,
        r#"{"ID": true}"#,
        r#"{"TTLMinutes": "five"}"#,
        r#"{"TTLMinutes": "1.5"}"#,
        // One field in two spellings.
        r#"{"tenantID": "t", "tenant_id": "t"}"#,
    ] {
        assert_eq!(keys("PUT", "/loose/keys", Some(body)).await.0, 400, "{body}");
    }
}

#[tokio::test]
async fn a_blank_body_counts_as_none_if_the_surface_says_so() {
    for (path, status) in [("/loose/keys", 200), ("/snake/things", 400), ("/strict/things", 400)] {
        let method = if path.starts_with("/strict") { "POST" } else { "PUT" };
        for body in [" ", "\r\n\t "] {
            let answer = call(&Fixture::new().rest, method, path, Some(body)).await;
            assert_eq!(answer.status.as_u16(), status, "{path} {body:?}");
        }
        // White space outside of JSON's definition does not count.
        assert_eq!(call(&Fixture::new().rest, method, path, Some("\u{a0}")).await.status.as_u16(), 400, "{path}");
    }
}

#[tokio::test]
async fn an_empty_list_is_omitted_if_its_field_says_so() {
    let fixture = Fixture::new();
    for body in [r#"{"tags": [], "marks": {}}"#, r#"{"tags": ["a"], "marks": {"b": "c"}}"#] {
        let answer = call(&fixture.rest, "PUT", "/loose/keys", Some(body)).await.json();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        for member in ["tags", "marks"] {
            let given = Some(&body[member]).filter(|value| **value != json!([]) && **value != json!({}));
            assert_eq!(answer.get(member), given, "{body}");
        }
    }
}
