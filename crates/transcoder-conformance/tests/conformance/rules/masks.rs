//! Masks that are filled with the members of the body.

use serde_json::Value;

use super::fixture::Fixture;
use crate::support::call;

/// The received mask.
async fn mask(uri: &str, body: &str) -> Value {
    let answer = call(&Fixture::new().rest, "PATCH", uri, Some(body)).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()["updateMask"].clone()
}

#[tokio::test]
async fn of_one_field() {
    let of = async |body: &str| mask("/strict/things/x", body).await;
    assert_eq!(of(r#"{"byteSize": 1, "long_note": "a"}"#).await, "byteSize,longNote");
    assert_eq!(of(r#"{"owner": {"place": {"city": "a"}, "tenant": "b"}}"#).await, "owner.place.city,owner.tenant");
    // It ends at lists, maps, Any and empty messages; null counts as absent.
    assert_eq!(of(r#"{"tags": ["a"], "counts": {"a": 1}, "owner": {}}"#).await, "tags,counts,owner");
    assert_eq!(of(r#"{"tags": null, "madeAt": null, "ready": false}"#).await, "ready");
    let any = r#"{"extra": {"@type": "x/conformance.rules.v1.Owner", "tenant": "a"}, "ready": true}"#;
    assert_eq!(of(any).await, "extra,ready");
    // An empty body makes an empty mask; no body makes none.
    assert_eq!(of("{}").await, "");
    assert_eq!(of("").await, Value::Null);
}

#[tokio::test]
async fn of_the_whole_message() {
    let of = async |body: &str| mask("/strict/whole/x", body).await;
    assert_eq!(of(r#"{"thing": {"byteSize": 1}, "updateMask": ""}"#).await, "thing.byteSize");
    assert_eq!(of(r#"{"thing": {"byteSize": 1}, "updateMask": "thing.tags"}"#).await, "thing.tags");
}

#[tokio::test]
async fn given_by_the_caller() {
    assert_eq!(mask("/strict/things/x?updateMask=tags,byteSize", r#"{"ready": true}"#).await, "tags,byteSize");
    assert_eq!(mask("/strict/things/x?update_mask=", r#"{"ready": true}"#).await, "ready");
}

#[tokio::test]
async fn the_path_takes_precedence() {
    let answer = call(&Fixture::new().rest, "PATCH", "/strict/things/x", Some(r#"{"name": "y", "ready": true}"#)).await;
    assert_eq!(answer.json()["thing"]["name"], "x");
}
