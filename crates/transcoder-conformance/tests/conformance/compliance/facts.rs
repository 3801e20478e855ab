//! Behavior that the suite does not test but the reference has: unknown enum numbers, and other details.

use serde_json::json;
use transcoder::json::{JsonOptions, Msg, decode};
use transcoder_conformance::{proto::conformance::query::v1::Request, query};

use super::{
    driver::echoed,
    fixture::{Fixture, fixtures},
};
use crate::support::call;

async fn fixture() -> Fixture {
    fixtures().await.swap_remove(0)
}

/// The number of an unknown continent survives JSON in both directions.
#[tokio::test]
async fn unknown_enum_numbers_survive() {
    let fixture = fixture().await;
    let known = fixture.send("GET", "/v1beta1/compliance/enum", None).await.json();
    assert_eq!(known["continent"], "ANTARTICA");
    let unknown = fixture.send("GET", "/v1beta1/compliance/enum?request.unknownEnum=true", None).await;
    assert_eq!(unknown.status, 400, "the request has no field request");
    let unknown = fixture.send("GET", "/v1beta1/compliance/enum?unknownEnum=true", None).await.json();
    assert_eq!(unknown["continent"], -4242);
    let uri = "/v1beta1/compliance/enum?continent=-4242&request.unknownEnum=true";
    let echo = fixture.send("POST", uri, None).await.json();
    assert_eq!((&echo["continent"], &echo["request"]["unknownEnum"]), (&json!(-4242), &json!(true)));
    let verify = async |query: &str| {
        fixture.send("POST", &format!("/v1beta1/compliance/enum?{query}"), None).await.status.as_u16()
    };
    assert_eq!(verify("continent=-4242&request.unknownEnum=true").await, 200);
    assert_eq!(verify("continent=ANTARTICA").await, 200);
    assert_eq!(verify("continent=-4242").await, 400);
    assert_eq!(verify("continent=3&request.unknownEnum=true").await, 400);
}

/// What the path binds must not be in the query, and is ignored in the body: the path takes precedence.
#[tokio::test]
async fn the_path_takes_precedence() {
    let fixture = fixture().await;
    let uri = "/v1beta1/repeat/path/1/2.5/true/FUNGI:simplepath";
    let answer = fixture.send("GET", &format!("{uri}?info.fString=query"), None).await;
    assert_eq!((answer.status.as_u16(), answer.violation().as_deref()), (400, Some("info.fString")));
    // No rule of the suite has both a body and a variable.
    let body = r#"{"stringValue": "body", "int32Value": 7}"#;
    let answer = call(&query::rest(), "POST", "/body/whole/path", Some(body)).await;
    let echo = decode::<Msg<Request>>(&answer.body, &JsonOptions::PROTO3).unwrap();
    assert_eq!(echo, Request { string_value: "path".to_owned(), int32_value: 7, ..Request::default() });
}

#[tokio::test]
async fn other_behavior_of_the_reference() {
    let fixture = fixture().await;
    let status =
        async |method: &str, uri: &str, body: Option<&str>| fixture.send(method, uri, body).await.status.as_u16();
    // Any query key on a rule whose body is the whole message.
    assert_eq!(status("POST", "/v1beta1/repeat:body?name=x", Some("{}")).await, 400);
    // A repeated key on a scalar.
    assert_eq!(status("GET", "/v1beta1/repeat:query?name=x&name=y", None).await, 400);
    assert_eq!(status("GET", "/v1beta1/repeat:query?fInt32=1&f_int32=1", None).await, 400);
    // A bool accepts only true and false.
    for other in ["1", "TRUE", "True", "yes", ""] {
        assert_eq!(status("GET", &format!("/v1beta1/repeat:query?info.fBool={other}"), None).await, 400, "{other}");
    }
    // An enum name that is unknown.
    assert_eq!(status("GET", "/v1beta1/repeat:query?info.fKingdom=VIRUS", None).await, 400);
    assert_eq!(status("POST", "/v1beta1/repeat:body", Some(r#"{"info": {"fKingdom": "VIRUS"}}"#)).await, 400);
    // A bad value in the path.
    let path = |kingdom: &str| format!("/v1beta1/repeat/x/1/2.5/true/{kingdom}:simplepath");
    assert_eq!(status("GET", &path("FUNGI"), None).await, 200);
    assert_eq!(status("GET", &path("VIRUS"), None).await, 400);
    // A plus in a path is a literal plus.
    let answer = fixture.send("GET", "/v1beta1/repeat/a+b/1/2.5/true/4:simplepath", None).await;
    assert_eq!(echoed(&answer).unwrap().request.unwrap().info.unwrap().f_string, "a+b");
}
