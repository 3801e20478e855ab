//! Forms, and a dialect that shows all details of a failure.

use std::{sync::Arc, time::Duration};

use http::HeaderValue;
use serde_json::{Value, json};
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use transcoder::{
    Dialect, Dialects, Failure, Rendered, Rest, RestBuilder,
    json::{DecodeError, PathStep},
};
use transcoder_conformance::{
    Open,
    rules::conformance::rules::v1::{
        DropFormRequest, FillFormRequest, Form, KnockRequest, forms_rest, forms_server::Forms,
    },
};

use crate::support::{Answer, call};

/// Shows everything.
struct Full;

fn to_json(error: &DecodeError) -> Value {
    let steps = error.steps.iter().map(|step| match step {
        PathStep::Member(name) => json!(name),
        PathStep::Item(index) => json!(index),
    });
    json!({
        "kind": format!("{:?}", error.kind),
        "part": format!("{:?}", error.part),
        "steps": steps.collect::<Vec<_>>(),
        "expected": error.expected.map(|expected| format!("{expected:?}")),
        "input": error.input,
        "offset": error.offset,
    })
}

impl Dialect for Full {
    fn render(&self, failure: &Failure) -> Rendered {
        let violations = failure.violations.iter().map(|violation| {
            let part = violation.part.map(|part| format!("{part:?}"));
            json!([part, violation.field, violation.description])
        });
        let body = json!({
            "reason": failure.reason,
            "text": failure.message,
            "violations": violations.collect::<Vec<_>>(),
            "decode_error": failure.decode_error.as_ref().map(to_json),
            "bodyMissing": failure.body_missing,
            "retryAfter": failure.retry_after,
        });
        let mut rendered = Rendered::json(failure, &body);
        if failure.reason == "GO_AWAY" {
            rendered.headers.insert("x-limit", HeaderValue::from(3));
            rendered.headers.insert("retry-after", HeaderValue::from(99));
        }
        rendered
    }
}

/// Echoes forms.
#[derive(Clone, Debug)]
pub struct Desk;

#[tonic::async_trait]
impl Forms for Desk {
    async fn make_form(&self, request: Request<Form>) -> Result<Response<Form>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn fill_form(&self, request: Request<FillFormRequest>) -> Result<Response<FillFormRequest>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn drop_form(&self, request: Request<DropFormRequest>) -> Result<Response<DropFormRequest>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn knock(&self, request: Request<KnockRequest>) -> Result<Response<()>, Status> {
        let name = request.into_inner().name;
        if matches!(name.as_str(), "LATER" | "GO_AWAY") {
            let mut details = ErrorDetails::with_error_info(name, "conformance", [] as [(String, String); 0]);
            details.set_retry_info(Some(Duration::from_millis(1500)));
            return Err(Status::with_error_details(Code::ResourceExhausted, "not now", details));
        }
        let mut response = Response::new(());
        let cookies = response.metadata_mut();
        cookies.append("set-cookie", "a=1; HttpOnly".parse().unwrap());
        cookies.append("set-cookie", "b=2; HttpOnly".parse().unwrap());
        Ok(response)
    }
}

/// The forms behind a guard that admits every call.
pub fn guarded() -> forms_rest::Guarded<Desk> {
    forms_rest::Guarded::new(Desk, Arc::new(Open))
}

fn rest() -> Rest {
    let full: Arc<dyn Dialect> = Arc::new(Full);
    let dialects = Dialects::new([("full", &["/forms"] as &[&str], full)]);
    RestBuilder::new(dialects).routes(forms_rest::routes(&guarded())).build(Arc::new(Open))
}

/// Calls the forms.
pub async fn send(method: &str, uri: &str, body: Option<&str>) -> (u16, Value) {
    let answer = call(&rest(), method, uri, body).await;
    (answer.status.as_u16(), answer.json())
}

async fn knock(name: &str) -> Answer {
    call(&rest(), "GET", &format!("/forms/{name}:knock"), None).await
}

#[tokio::test]
async fn every_cookie_of_the_service_is_a_separate_header() {
    let cookies: Vec<_> = knock("x").await.headers.get_all("set-cookie").iter().cloned().collect();
    assert_eq!(cookies, ["a=1; HttpOnly", "b=2; HttpOnly"]);
}

#[tokio::test]
async fn retry_after() {
    let answer = knock("LATER").await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["retryAfter"]),
        (429, &json!(2)),
        "Retry-After must be rounded up to whole seconds"
    );
    assert_eq!(answer.headers["retry-after"], "2");
    assert!(!answer.headers.contains_key("x-limit"));
    assert!(!knock("x").await.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn a_dialect_can_set_headers() {
    let headers = knock("GO_AWAY").await.headers;
    assert_eq!((&headers["x-limit"], &headers["retry-after"]), (&HeaderValue::from(3), &HeaderValue::from(99)));
    assert_eq!(headers.get_all("retry-after").iter().count(), 1);
    assert_eq!(headers["content-type"], "application/json");
}
