//! Shared by the tests: calls of the REST service, and the tally of cases.

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::ServiceExt as _;
use transcoder::Rest;
use transcoder_conformance::tables::File;

/// A response with its complete body.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON; null if it is empty.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The text of the error.
    pub fn message(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap_or_default().to_owned()
    }

    /// The field of the first violation.
    pub fn violation(&self) -> Option<String> {
        let details = &self.json()["error"]["details"];
        let bad = details.as_array()?.iter().find_map(|detail| detail.get("fieldViolations"))?;
        Some(bad[0]["field"].as_str()?.to_owned())
    }
}

/// Calls the service. A body is sent as JSON.
pub async fn call(rest: &Rest, method: &str, uri: &str, body: Option<&str>) -> Answer {
    let mut request = Request::builder().method(method).uri(uri);
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    let body = Full::new(Bytes::from(body.unwrap_or_default().to_owned()));
    send(rest, request.body(body).unwrap()).await
}

/// Sends a request of any form.
pub async fn send<B>(rest: &Rest, request: Request<B>) -> Answer
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, body) = rest.clone().oneshot(request).await.unwrap().into_parts();
    Answer { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
}

/// The results of a table's cases.
#[derive(Debug, Default)]
pub struct Tally {
    pub cases: usize,
    pub failures: Vec<String>,
}

impl Tally {
    /// Counts a case of a file.
    pub fn count(&mut self, file: &File, name: &str, outcome: Result<(), String>) {
        self.cases += 1;
        if let Err(why) = outcome {
            self.failures.push(format!("{}: {name}: {why}", file.path));
        }
    }

    /// Fails for a file without cases.
    pub fn refuse_empty(&mut self, file: &File, cases: usize) {
        if cases == 0 {
            self.failures.push(format!("{}: no case in it", file.path));
        }
    }

    /// Fails with all failed cases, and if there were none.
    pub fn finish(self) {
        assert!(
            self.failures.is_empty(),
            "{} of {} cases:\n{}",
            self.failures.len(),
            self.cases,
            self.failures.join("\n")
        );
        assert!(self.cases > 0, "no case was run");
    }
}

/// The label of a case that may not have a name.
pub fn label(index: usize, case: &Value) -> String {
    let name = ["name", "template", "query"].iter().find_map(|name| case[*name].as_str());
    name.map_or_else(|| format!("case {index}"), |name| format!("case {index}, {name:?}"))
}

/// Members of a case, and of each of its requests, that are only for readers.
const FOR_READERS: [&str; 8] = ["about", "category", "comment", "name", "note", "reference", "source", "spec"];

/// Parses a case. Unknown members are refused.
pub fn read<T: DeserializeOwned>(case: &Value) -> Result<T, String> {
    let mut case = case.clone();
    let requests = case.get_mut("requests").and_then(Value::as_array_mut);
    requests.into_iter().flatten().for_each(without_words);
    without_words(&mut case);
    serde_json::from_value(case).map_err(|why| why.to_string())
}

fn without_words(value: &mut Value) {
    if let Some(members) = value.as_object_mut() {
        members.retain(|name, _| !FOR_READERS.contains(&name.as_str()));
    }
}
