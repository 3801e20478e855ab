//! The typed details of errors, and the headers that go with them.

use serde_json::json;

use super::bench::rest;
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
