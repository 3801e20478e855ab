//! Status and body of responses.

use serde_json::json;

use super::fixture::Fixture;
use crate::support::{Answer, call};

fn thing(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.json()["name"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn created_or_not() {
    let fixture = Fixture::new();
    let put = async |name: &str| {
        call(&fixture.rest, "POST", "/strict/things", Some(&format!("{{\"name\": \"{name}\"}}"))).await
    };
    assert_eq!(thing(&put("new").await), (201, "new".to_owned()));
    assert_eq!(thing(&put("old").await), (200, "old".to_owned()));
    let locked = put("locked").await;
    assert_eq!((locked.status.as_u16(), &locked.json()["oops"]), (423, &json!("THING_LOCKED")));
    assert_eq!(locked.json()["from"], "Service");
}

#[tokio::test]
async fn no_content() {
    let fixture = Fixture::new();
    let answer = call(&fixture.rest, "DELETE", "/strict/things/x", None).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
    assert!(!answer.headers.contains_key("content-type"));
    let answer = call(&fixture.rest, "POST", "/strict/things/x:act", Some(r#"{"act": "ACT_LOOK"}"#)).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
}

#[tokio::test]
async fn response_bodies() {
    let fixture = Fixture::new();
    let get = async |uri: &str| {
        let answer = call(&fixture.rest, "GET", uri, None).await;
        assert_eq!(
            (answer.status.as_u16(), answer.headers["content-type"].to_str().unwrap()),
            (200, "application/json")
        );
        answer.json()
    };
    let list = get("/strict/things").await;
    assert_eq!(list.as_array().unwrap().len(), 2);
    assert_eq!(list[1]["name"], "b");
    // Empty lists and maps are written, unset messages are not.
    let want = json!({
        "name": "b", "byteSize": "1099511627776", "tags": [], "counts": {}, "ready": false,
        "shade": "SHADE_UNSPECIFIED",
    });
    assert_eq!(list[1], want);
    assert_eq!(get("/strict/things:count").await, json!("9007199254740992"));
    assert_eq!(get("/strict/things:first").await, json!(null));
    assert_eq!(get("/strict/things:counts").await, json!({"a": 1}));
}

#[tokio::test]
async fn downloads() {
    let fixture = Fixture::new();
    let answer = call(&fixture.rest, "GET", "/strict/things/abc/bytes", None).await;
    assert_eq!((answer.status.as_u16(), &*answer.body), (200, &b"abc"[..]));
    assert_eq!(answer.headers["content-type"], "text/x-thing");
    assert_eq!(answer.headers["content-disposition"], "attachment");
}

#[tokio::test]
async fn metadata_and_failures() {
    let fixture = Fixture::new();
    assert_eq!(call(&fixture.rest, "GET", "/strict/things/x", None).await.headers["x-shelf"], "4");
    let missing = call(&fixture.rest, "GET", "/strict/things/missing", None).await;
    assert_eq!((missing.status.as_u16(), missing.json()["text"].as_str()), (404, Some("no such thing")));
    let unprintable = call(&fixture.rest, "GET", "/strict/things/unprintable", None).await;
    assert_eq!((unprintable.status.as_u16(), unprintable.json()["from"].as_str()), (500, Some("Server")));
    assert_eq!(fixture.log.take().last().unwrap(), "get by /strict/things/{name}");
}

#[tokio::test]
async fn lenient_booleans() {
    let fixture = Fixture::new();
    let delete = async |query: &str| {
        let answer = call(&fixture.rest, "DELETE", &format!("/strict/things/x?{query}"), None).await;
        (answer.status.as_u16(), fixture.log.take().pop().unwrap())
    };
    for text in ["true", "TRUE", "True"] {
        assert_eq!(delete(&format!("force={text}")).await, (204, "delete x true false".to_owned()));
    }
    for text in ["false", "1", "yes", ""] {
        assert_eq!(delete(&format!("force={text}")).await, (204, "delete x false false".to_owned()));
    }
    assert_eq!(delete("dryRun=TRUE").await.0, 400);
}

#[tokio::test]
async fn body_or_query() {
    let fixture = Fixture::new();
    let search = async |query: &str, body: &str| {
        let answer = call(&fixture.rest, "POST", &format!("/strict/things:search?{query}"), Some(body)).await;
        (answer.status.as_u16(), answer.json())
    };
    let want = json!({"text": "a", "pageSize": 3, "tags": ["x", "y"], "owner": {"tenant": "blue"}});
    assert_eq!(
        search("pageSize=3", r#"{"text": "a", "tags": ["x", "y"], "owner": {"tenant": "blue"}}"#).await,
        (200, want.clone())
    );
    assert_eq!(search("text=a&page_size=3&tags=x&tags=y&owner.tenant=blue", "").await, (200, want));
    for (query, body) in [
        ("text=b", r#"{"text": "a"}"#),
        ("owner.tenant=red", r#"{"owner": {"tenant": "blue"}}"#),
        ("tags=z", r#"{"tags": ["x"]}"#),
    ] {
        let (status, body) = search(query, body).await;
        assert_eq!((status, body["kind"].as_str()), (400, Some("Conflict")), "{query}");
    }
}
