//! Required fields and bodies, and fields from the body or the query.

use serde_json::{Value, json};
use tonic::Code;
use tonic_types::StatusExt as _;
use transcoder_conformance::rules::conformance::rules::v1::{
    FillFormRequest, Form, Signature, Stamp, forms_client::FormsClient, forms_server::FormsServer, signature::How,
};

use super::forms::{guarded, send};

/// The violations of a response: part and field.
fn violations(body: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let violation = |value: &Value| {
        assert_eq!(value[2], "required");
        (text(&value[0]), text(&value[1]))
    };
    body["violations"].as_array().unwrap().iter().map(violation).collect()
}

fn lacking(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(part, field)| ((*part).to_owned(), (*field).to_owned())).collect()
}

#[tokio::test]
async fn all_missing_fields_are_reported_together() {
    let (status, body) = send("POST", "/forms", Some(r#"{"signature": {"stamp": {}, "deputyOf": {}}}"#)).await;
    assert_eq!((status, &body["reason"], &body["bodyMissing"]), (400, &json!("FIELD_REQUIRED"), &json!(false)));
    assert_eq!(body["text"], "missing: title, pages, signature.key, signature.deputy_of.key, signature.stamp.text");
    let want = ["title", "pages", "signature.key", "signature.deputy_of.key", "signature.stamp.text"];
    assert_eq!(violations(&body), lacking(&want.map(|field| ("Body", field))));
}

#[tokio::test]
async fn required_fields_may_be_empty() {
    let full = r#"{"title": "", "pages": 0, "signature": {"key": "", "ink": "blue"}, "witnesses": [{}]}"#;
    assert_eq!(send("POST", "/forms", Some(full)).await.0, 200, "items of lists must not be checked");
    let (status, body) = send("POST", "/forms", Some(r#"{"title": null, "pages": 0}"#)).await;
    assert_eq!((status, violations(&body)), (400, lacking(&[("Body", "title")])), "null must count as absent");
    let titled = send("POST", "/forms/t/titled", Some(r#"{"pages": 1}"#)).await;
    assert_eq!((titled.0, &titled.1["title"]), (200, &json!("t")), "the path must set the field");
}

#[tokio::test]
async fn a_body_that_is_a_field() {
    let (status, body) = send("PUT", "/forms/f", Some("{}")).await;
    assert_eq!(
        (status, &body["bodyMissing"]),
        (422, &json!(false)),
        "the rule must determine the status of the reason"
    );
    assert_eq!(violations(&body), lacking(&[("Body", "form.title"), ("Body", "form.pages"), ("Query", "reason")]));
    for none in [None, Some("null")] {
        let (status, body) = send("PUT", "/forms/f?reason=r", none).await;
        assert_eq!((status, &body["bodyMissing"]), (422, &json!(true)), "{none:?}");
        assert_eq!(violations(&body), lacking(&[("Body", "form")]));
    }
    let filled = send("PUT", "/forms/f?reason=r", Some(r#"{"title": "t", "pages": 1}"#)).await;
    assert_eq!((filled.0, &filled.1["name"]), (200, &json!("f")));
}

#[tokio::test]
async fn a_required_body() {
    for none in [None, Some(""), Some("null"), Some(" null\n")] {
        let (status, body) = send("POST", "/forms", none).await;
        let told = (&body["reason"], &body["bodyMissing"], &body["text"]);
        let want = (&json!("BODY_REQUIRED"), &json!(true), &json!("the request has no body"));
        assert_eq!((status, told), (422, want), "{none:?}");
    }
    let (status, body) = send("POST", "/forms", Some("{}")).await;
    assert_eq!((status, &body["reason"]), (400, &json!("FIELD_REQUIRED")));
}

#[tokio::test]
async fn over_grpc() {
    let mut client = FormsClient::new(FormsServer::new(guarded()));
    let stamp = How::Stamp(Stamp::default());
    let signature = Signature { key: Some("k".to_owned()), how: Some(stamp), ..Signature::default() };
    let form = Form { signature: Some(signature), title: Some("t".to_owned()), ..Form::default() };
    let status = client.fill_form(FillFormRequest { form: Some(form), ..Default::default() }).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let details = status.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!((&*info.reason, &*info.domain), ("FIELD_REQUIRED", "conformance"));
    let fields = details.bad_request().unwrap().field_violations.iter();
    let fields: Vec<_> = fields.map(|violation| (&*violation.field, &*violation.description)).collect();
    let want = ["form.pages", "form.signature.stamp.text", "reason"].map(|field| (field, "required"));
    assert_eq!(fields, want);
    let form = Form { title: Some(String::new()), pages: Some(0), ..Form::default() };
    assert_eq!(client.make_form(form.clone()).await.unwrap().into_inner(), form);
}

#[tokio::test]
async fn a_delete_takes_a_body_or_a_query() {
    let want = json!({
        "name": "f", "confirm": "c", "dropPages": true, "tags": ["x"], "signature": {"key": "k", "at": "3"}, "bin": "4",
    });
    let body = r#"{"confirm": "c", "dropPages": true, "tags": ["x"], "signature": {"key": "k", "at": 3}, "bin": 4}"#;
    let query = "confirm=c&drop_pages=true&tags=x&signature.key=k&signature.at=3&bin=4";
    assert_eq!(send("DELETE", "/forms/f", Some(body)).await, (200, want.clone()));
    assert_eq!(send("DELETE", &format!("/forms/f?{query}"), None).await, (200, want.clone()));
    // From either part, and the same from both.
    assert_eq!(send("DELETE", &format!("/forms/f?{query}"), Some("{}")).await, (200, want.clone()));
    let both = query.replace("&tags=x", "");
    assert_eq!(send("DELETE", &format!("/forms/f?{both}"), Some(body)).await, (200, want));
    let (status, answer) = send("DELETE", "/forms/f", None).await;
    assert_eq!((status, &answer["bodyMissing"]), (400, &json!(true)));
    assert_eq!(violations(&answer), lacking(&[("Body", "confirm")]));
}

#[tokio::test]
async fn the_query_does_not_contradict_the_body() {
    for (query, body, field) in [
        ("confirm=d", r#"{"confirm": "c"}"#, "confirm"),
        ("confirm=d", r#"{"confirm": ""}"#, "confirm"),
        ("confirm=c&dropPages=true", r#"{"dropPages": false}"#, "dropPages"),
        ("signature.key=l", r#"{"signature": {"key": "k"}}"#, "signature.key"),
        ("signature.key=l", r#"{"signature": {}}"#, "signature.key"),
        ("tags=y", r#"{"tags": ["x"]}"#, "tags"),
        ("tags=x", r#"{"tags": ["x"]}"#, "tags"),
        ("bin=5", r#"{"bin": 4}"#, "bin"),
    ] {
        let (status, answer) = send("DELETE", &format!("/forms/f?{query}"), Some(body)).await;
        assert_eq!((status, &answer["reason"]), (422, &json!("FIELD_CONFLICT")), "{query} {body}");
        let text = "the body and the query give different values";
        assert_eq!(answer["violations"], json!([["Query", field, text]]));
    }
    let (status, answer) = send("DELETE", "/forms/f?shredder=s", Some(r#"{"confirm": "c", "bin": 4}"#)).await;
    assert_eq!((status, &answer["decode_error"]["kind"]), (400, &json!("Oneof")));
    let (status, answer) = send("DELETE", "/forms/f?confirm=c&confirm=c", Some(r#"{"confirm": "c"}"#)).await;
    assert_eq!((status, &answer["decode_error"]["kind"]), (400, &json!("Duplicate")));
}
