//! The typed details of errors, and their headers.

use serde_json::json;

use super::fixture::rest;
use crate::support::call;

#[tokio::test]
async fn details_are_kept() {
    let gone = call(&rest(), "GET", "/flow/docs/gone", None).await;
    let details = json!([
        {
            "@type": "type.googleapis.com/google.rpc.ResourceInfo",
            "resourceType": "doc", "resourceName": "gone", "description": "nobody has it",
        },
        {
            "@type": "type.googleapis.com/google.rpc.Help",
            "links": [{"description": "all there are", "url": "https://a.b/c"}],
        },
    ]);
    assert_eq!(
        gone.json()["error"],
        json!({"code": 404, "status": "NOT_FOUND", "message": "no such document", "details": details})
    );
    assert_eq!(gone.headers["x-looked-in"], "desk", "metadata of the status");
    assert_eq!(gone.headers["content-type"], "application/json");
}

#[tokio::test]
async fn an_error_with_the_code_ok_is_still_an_error() {
    let answer = call(&rest(), "GET", "/flow/docs/fine", None).await;
    assert_eq!((answer.status.as_u16(), answer.json()["error"]["status"].as_str()), (500, Some("UNKNOWN")));
}

#[tokio::test]
async fn metadata_cannot_describe_the_body() {
    let answer = call(&rest(), "GET", "/flow/docs/a", None).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    assert!(!answer.headers.contains_key("keep-alive"), "{:?}", answer.headers);
    assert_eq!(answer.headers["cache-control"], "no-cache");
}
