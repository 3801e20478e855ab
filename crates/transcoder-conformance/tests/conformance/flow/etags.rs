//! Entity tags and conditional requests.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use super::fixture::rest;
use crate::support::{Answer, send};

async fn ask(method: &str, uri: &str, headers: &[(&str, &str)], body: &'static str) -> Answer {
    let request = Request::builder().method(method).uri(uri).header("content-type", "application/json");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    send(&rest(), request.body(Full::new(Bytes::from(body))).unwrap()).await
}

async fn get(uri: &str, name: &str, value: &str) -> Answer {
    ask("GET", uri, &[(name, value)], "").await
}

fn tag(answer: &Answer) -> &str {
    answer.headers["etag"].to_str().unwrap()
}

#[tokio::test]
async fn tags_come_from_a_field_or_are_a_digest() {
    assert_eq!(tag(&get("/flow/docs/a", "x", "y").await), "\"t1\"");
    assert_eq!(tag(&get("/flow/docs/a/version", "x", "y").await), "\"7\"");
    let [one, again, other] = [
        get("/flow/docs/a/digest", "x", "y").await,
        get("/flow/docs/a/digest", "x", "y").await,
        get("/flow/docs/b/digest", "x", "y").await,
    ];
    assert!(tag(&one).starts_with("\"sha256:") && tag(&one).len() == 73, "{}", tag(&one));
    assert_eq!(tag(&one), tag(&again));
    assert_ne!(tag(&one), tag(&other));
}

#[tokio::test]
async fn a_client_with_the_current_tag_gets_no_body() {
    for value in ["\"t1\"", "W/\"t1\"", "\"x\", \"t1\"", "*"] {
        for method in ["GET", "HEAD"] {
            let answer = ask(method, "/flow/docs/a", &[("if-none-match", value)], "").await;
            assert_eq!(
                (answer.status.as_u16(), answer.body.len(), tag(&answer)),
                (304, 0, "\"t1\""),
                "{method} {value}"
            );
            assert_eq!(answer.headers["cache-control"], "no-cache");
            assert!(!answer.headers.contains_key("content-type"));
        }
    }
    assert_eq!(get("/flow/docs/a", "if-none-match", "\"t\"").await.status, 200);
    // An error has no tag.
    let gone = get("/flow/docs/gone", "if-none-match", "*").await;
    assert_eq!((gone.status.as_u16(), gone.headers.contains_key("etag")), (404, false));
    let digest = get("/flow/docs/a/digest", "x", "y").await;
    assert_eq!(get("/flow/docs/a/digest", "if-none-match", tag(&digest)).await.status, 304);
}

#[tokio::test]
async fn reads_of_another_version_fail() {
    assert_eq!(get("/flow/docs/a", "if-match", "\"t1\"").await.status, 200);
    let other = get("/flow/docs/a", "if-match", "\"t2\"").await;
    assert_eq!((other.status.as_u16(), other.json()["error"]["status"].as_str()), (412, Some("ABORTED")));
    assert_eq!(get("/flow/docs/a", "if-match", "W/\"t1\"").await.status, 412);
    assert_eq!(get("/flow/docs/a", "if-match", "\"t1").await.status, 400);
}

#[tokio::test]
async fn a_write_gets_the_tag() {
    let patch =
        |value: &'static str, body| async move { ask("PATCH", "/flow/docs/a", &[("if-match", value)], body).await };
    let done = patch("\"t1\"", r#"{"note": "n"}"#).await;
    // The only mask of a PATCH is filled with the members of its body, without an option.
    assert_eq!((done.status.as_u16(), done.json()["note"].as_str(), tag(&done)), (200, Some("note"), "\"t2\""));
    assert_eq!(patch("*", "{}").await.status, 200);
    let stale = patch("\"t0\"", "{}").await;
    assert_eq!((stale.status.as_u16(), stale.json()["error"]["code"].as_u64()), (412, Some(412)));
    assert_eq!(stale.json()["error"]["details"][0]["reason"], "ETAG_MISMATCH");
    assert_eq!(patch("W/\"t1\"", "{}").await.status, 412);
    assert_eq!(patch("\"t1\", \"t2\"", "{}").await.status, 400);
    for nothing in ["", ",", "\"\""] {
        assert_eq!(patch(nothing, "{}").await.status, 412, "{nothing:?} cannot match a resource");
    }
    // The same tag in both counts once; two different ones are refused.
    assert_eq!(patch("\"t1\"", r#"{"etag": "t1"}"#).await.status, 200);
    let two = patch("\"t1\"", r#"{"etag": "t0"}"#).await;
    assert_eq!((two.status.as_u16(), two.violation().as_deref()), (400, Some("if-match")));
}

/// AIP-154: the fields of some services have tags with their quotes.
#[tokio::test]
async fn fields_may_contain_quoted_tags() {
    let done = ask("PATCH", "/flow/quoted/a", &[("if-match", "\"t1\"")], "{}").await;
    assert_eq!((done.status.as_u16(), tag(&done)), (200, "\"t2\""));
    assert_eq!(ask("PATCH", "/flow/quoted/a", &[("if-match", "\"t0\"")], "{}").await.status, 412);
}

#[tokio::test]
async fn only_a_failed_precondition_is_412() {
    let stale = ask("PATCH", "/flow/docs/a", &[], r#"{"etag": "t0"}"#).await;
    assert_eq!(stale.status, 409, "a tag in the message must not be treated as If-Match");
    let busy = ask("PATCH", "/flow/docs/a", &[("if-match", "\"t1\"")], r#"{"note": "busy"}"#).await;
    assert_eq!(busy.status, 409, "ABORTED for another reason must not be 412");
    for (value, status) in [("*", 412), ("\"t1\"", 404)] {
        assert_eq!(ask("PATCH", "/flow/docs/gone", &[("if-match", value)], "{}").await.status, status, "{value}");
    }
}

#[tokio::test]
async fn tags_may_be_numbers() {
    let delete = |headers: &'static [(&str, &str)]| async move { ask("DELETE", "/flow/docs/a", headers, "").await };
    let done = delete(&[("if-match", "\"7\"")]).await;
    assert_eq!((done.status.as_u16(), done.body.len()), (204, 0));
    assert_eq!(delete(&[("if-match", "\"8\"")]).await.status, 412);
    assert_eq!(
        delete(&[("if-match", "\"t1\"")]).await.status,
        412,
        "a tag that is not a number cannot match a version"
    );
    let unserved = delete(&[("if-none-match", "*")]).await;
    assert_eq!(
        (unserved.status.as_u16(), unserved.json()["error"]["details"][0]["reason"].as_str()),
        (400, Some("PRECONDITION_UNSUPPORTED"))
    );
}
