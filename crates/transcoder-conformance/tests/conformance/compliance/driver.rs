//! Turns a request of the suite into an HTTP call, without the help of the code under test: the message's JSON is
//! walked, and the path templates are filled by hand.

use std::{fmt::Write as _, sync::Arc};

use serde_json::{Map, Value};
use transcoder::{
    Dialects, Rest, RestBuilder,
    json::{Habits, Msg, decode, encode},
};
use transcoder_conformance::{
    Open, compliance,
    proto::compliance::v1::{ComplianceSuite, RepeatRequest, RepeatResponse, compliance_rest},
};

use crate::support::{Answer, call};

/// The suite and the service that it is run against.
pub struct Bench {
    pub suite: ComplianceSuite,
    pub rest: Rest,
}

impl Bench {
    pub fn new() -> Self {
        let suite = compliance::suite().unwrap();
        let guard = Arc::new(Open);
        let service = compliance_rest::Guarded::new(compliance::Echo::new(&suite), guard.clone());
        let rest = RestBuilder::new(Dialects::new([])).routes(compliance_rest::routes(&service)).build(guard);
        Self { suite, rest }
    }

    /// The requests of every group that names an RPC.
    pub fn requests_of(&self, rpc: &str) -> Vec<&RepeatRequest> {
        let rpc = format!("Compliance.{rpc}");
        let groups = self.suite.group.iter().filter(|group| group.rpcs.contains(&rpc));
        groups.flat_map(|group| &group.requests).collect()
    }

    /// The request of a name.
    pub fn request(&self, name: &str) -> RepeatRequest {
        let mut requests = self.suite.group.iter().flat_map(|group| &group.requests);
        requests.find(|request| request.name == name).unwrap().clone()
    }

    pub async fn call(&self, call: &Call) -> Answer {
        self::call(&self.rest, call.method, &call.uri(), call.body.as_deref()).await
    }
}

/// The two forms of a body: without defaults, and with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Short,
    Long,
}

/// An HTTP call.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: &'static str,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub body: Option<String>,
}

impl Call {
    pub fn uri(&self) -> String {
        let mut uri = self.path.clone();
        for (index, (key, value)) in self.query.iter().enumerate() {
            let _ = write!(uri, "{}{}={}", if index == 0 { '?' } else { '&' }, form(key), form(value));
        }
        uri
    }
}

/// The call of an RPC with a request.
pub fn call_of(rpc: &str, request: &RepeatRequest, long: Form) -> Call {
    let body = || Some(body(request, long).to_string());
    let whole = |method, path: &str| Call { method, path: path.to_owned(), query: Vec::new(), body: body() };
    let get = |path: String, without: &[&str]| Call { method: "GET", path, query: query(request, without), body: None };
    let info = request.info.clone().unwrap_or_default();
    let child = info.f_child.clone().unwrap_or_default();
    match rpc {
        "RepeatDataBody" => whole("POST", "/v1beta1/repeat:body"),
        "RepeatDataBodyPut" => whole("PUT", "/v1beta1/repeat:bodyput"),
        "RepeatDataBodyPatch" => whole("PATCH", "/v1beta1/repeat:bodypatch"),
        "RepeatDataBodyInfo" => Call {
            method: "POST",
            path: "/v1beta1/repeat:bodyinfo".to_owned(),
            query: query(request, &["info"]),
            body: Some(self::body(request, long)["info"].to_string()),
        },
        "RepeatDataQuery" => get("/v1beta1/repeat:query".to_owned(), &[]),
        "RepeatDataSimplePath" => {
            let path = format!(
                "/v1beta1/repeat/{}/{}/{}/{}/{}:simplepath",
                segment(&info.f_string, false),
                info.f_int32,
                segment(&serde_json::Number::from_f64(info.f_double).unwrap().to_string(), false),
                info.f_bool,
                info.f_kingdom().as_str_name(),
            );
            get(path, &["info.fString", "info.fInt32", "info.fDouble", "info.fBool", "info.fKingdom"])
        }
        "RepeatDataPathResource" => {
            let (own, childs) = (segment(&info.f_string, true), segment(&child.f_string, true));
            let path = if info.f_string.starts_with("first/") {
                format!("/v1beta1/repeat/{own}/{childs}/bool/{}:pathresource", info.f_bool)
            } else {
                format!("/v1beta1/repeat/{childs}/{own}/bool/{}:childfirstpathresource", info.f_bool)
            };
            get(path, &["info.fString", "info.fChild.fString", "info.fBool"])
        }
        "RepeatDataPathTrailingResource" => {
            let (own, childs) = (segment(&info.f_string, true), segment(&child.f_string, true));
            get(
                format!("/v1beta1/repeat/{own}/{childs}:pathtrailingresource"),
                &["info.fString", "info.fChild.fString"],
            )
        }
        other => panic!("no such RPC: {other}"),
    }
}

/// The request as JSON. The long form has plain scalars with their zero, and null for unset plain messages.
pub fn body(request: &RepeatRequest, form: Form) -> Value {
    let habits = Habits { print_defaults: form == Form::Long, ..Habits::PROTO3 };
    let mut json: Value = serde_json::from_slice(&encode::<Msg<RepeatRequest>>(request, &habits).unwrap()).unwrap();
    if form == Form::Long
        && let Some(info) = json["info"].as_object_mut()
    {
        info.entry("fChild").or_insert(Value::Null);
    }
    json
}

/// Every set field as a pair of the query, but for those at or below the paths in `without`.
fn query(request: &RepeatRequest, without: &[&str]) -> Vec<(String, String)> {
    let Value::Object(members) = body(request, Form::Short) else { panic!("not an object") };
    let mut pairs = Vec::new();
    walk(&members, "", &mut pairs);
    let below =
        |key: &str, path: &str| key.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    pairs.retain(|(key, _)| !without.iter().any(|path| below(key, path)));
    pairs
}

fn walk(members: &Map<String, Value>, prefix: &str, pairs: &mut Vec<(String, String)>) {
    for (name, value) in members {
        let key = format!("{prefix}{name}");
        match value {
            Value::Object(members) => walk(members, &format!("{key}."), pairs),
            Value::String(text) => pairs.push((key, text.clone())),
            other => pairs.push((key, other.to_string())),
        }
    }
}

/// Text in a path: everything but `-_.~`, letters and digits is percent-encoded.
fn segment(text: &str, slashes: bool) -> String {
    escaped(text, if slashes { "/" } else { "" })
}

/// Text in a query, form-encoded.
fn form(text: &str) -> String {
    escaped(text, " ").replace(' ', "+")
}

fn escaped(text: &str, plain: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || plain.as_bytes().contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// What an answer echoed.
pub fn echoed(answer: &Answer) -> Result<RepeatResponse, String> {
    if answer.status != 200 {
        return Err(format!("{}: {}", answer.status, answer.message()));
    }
    decode::<Msg<RepeatResponse>>(&answer.body, &Habits::PROTO3).map_err(|fault| fault.to_string())
}

/// What is wrong with the answer to a request, if anything is.
pub fn compare(request: &RepeatRequest, answer: &Answer) -> Result<(), String> {
    let response = echoed(answer)?;
    if response.request.as_ref() != Some(request) {
        return Err(format!("sent {request:?}, got {:?}", response.request));
    }
    match &request.intended_binding_uri {
        Some(uri) if *uri != response.binding_uri => Err(format!("matched {}", response.binding_uri)),
        _ => Ok(()),
    }
}
