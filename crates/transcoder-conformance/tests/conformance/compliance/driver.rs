//! Converts a request of the suite to an HTTP call without the code under test: it walks the message's JSON, and fills
//! the path templates by hand.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use transcoder::json::{JsonOptions, Msg, decode, encode};
use transcoder_conformance::proto::compliance::v1::{RepeatRequest, RepeatResponse};

use crate::support::Answer;

/// The two forms of a body: without and with defaults.
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

/// The call of an RPC, which the suite names `Compliance.` and its name, with a request.
pub fn call_of(rpc: &str, request: &RepeatRequest, form: Form) -> Result<Call, String> {
    let body = || Some(body(request, form).to_string());
    let whole = |method, path: &str| Call { method, path: path.to_owned(), query: Vec::new(), body: body() };
    let get = |path: String, without: &[&str]| Call { method: "GET", path, query: query(request, without), body: None };
    Ok(match rpc {
        "RepeatDataBody" => whole("POST", "/v1beta1/repeat:body"),
        "RepeatDataBodyPut" => whole("PUT", "/v1beta1/repeat:bodyput"),
        "RepeatDataBodyPatch" => whole("PATCH", "/v1beta1/repeat:bodypatch"),
        "RepeatDataBodyInfo" => Call {
            method: "POST",
            path: "/v1beta1/repeat:bodyinfo".to_owned(),
            query: query(request, &["info"]),
            body: request.info.as_ref().map(|_| self::body(request, form)["info"].to_string()),
        },
        "RepeatDataQuery" => get("/v1beta1/repeat:query".to_owned(), &[]),
        "RepeatDataSimplePath" => {
            let fields = ["info.fString", "info.fInt32", "info.fDouble", "info.fBool", "info.fKingdom"];
            get(simple_path(request), &fields)
        }
        "RepeatDataPathResource" => get(resource_path(request), &["info.fString", "info.fChild.fString", "info.fBool"]),
        "RepeatDataPathTrailingResource" => {
            let (own, childs) = resources(request);
            let path = format!("/v1beta1/repeat/{own}/{childs}:pathtrailingresource");
            get(path, &["info.fString", "info.fChild.fString"])
        }
        other => return Err(format!("no Repeat RPC is named {other:?}")),
    })
}

fn simple_path(request: &RepeatRequest) -> String {
    // The long form has all of these, in the text form of the path.
    let json = body(request, Form::Long);
    let values = ["fString", "fInt32", "fDouble", "fBool", "fKingdom"].map(|name| match &json["info"][name] {
        Value::Null => String::new(),
        Value::String(text) => segment(text, false),
        // The shortest decimals of whole numbers have no fraction.
        other => segment(other.to_string().trim_end_matches(".0"), false),
    });
    format!("/v1beta1/repeat/{}:simplepath", values.join("/"))
}

fn resource_path(request: &RepeatRequest) -> String {
    let info = request.info.clone().unwrap_or_default();
    let (own, childs) = resources(request);
    if info.f_string.starts_with("first/") {
        format!("/v1beta1/repeat/{own}/{childs}/bool/{}:pathresource", info.f_bool)
    } else {
        format!("/v1beta1/repeat/{childs}/{own}/bool/{}:childfirstpathresource", info.f_bool)
    }
}

/// The resource names in `info` and in its child, for variables of several segments.
fn resources(request: &RepeatRequest) -> (String, String) {
    let info = request.info.clone().unwrap_or_default();
    let child = info.f_child.unwrap_or_default();
    (segment(&info.f_string, true), segment(&child.f_string, true))
}

/// The request as JSON. The long form has plain scalars with their zero, and null for unset plain messages.
pub fn body(request: &RepeatRequest, form: Form) -> Value {
    let options = JsonOptions { print_defaults: form == Form::Long, ..JsonOptions::PROTO3 };
    let mut json: Value = serde_json::from_slice(&encode::<Msg<RepeatRequest>>(request, &options).unwrap()).unwrap();
    if form == Form::Long {
        for (parent, member) in
            [("", "info"), ("/info", "fChild"), ("/info/fChild", "fChild"), ("/info/pChild", "fChild")]
        {
            if let Some(Value::Object(parent)) = json.pointer_mut(parent) {
                parent.entry(member).or_insert(Value::Null);
            }
        }
    }
    json
}

/// Every set field as a query pair, except those at or below the paths in `without`.
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

/// Text in a path: everything except `-_.~`, letters and digits is percent-encoded.
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

/// The echo in a response.
pub fn echoed(answer: &Answer) -> Result<RepeatResponse, String> {
    if answer.status != 200 {
        return Err(format!("{}: {}", answer.status, answer.message()));
    }
    decode::<Msg<RepeatResponse>>(&answer.body, &JsonOptions::PROTO3).map_err(|error| error.to_string())
}

/// Checks the response to a request.
pub fn compare(request: &RepeatRequest, answer: &Answer) -> Result<(), String> {
    let response = echoed(answer)?;
    if response.request.as_ref() != Some(request) {
        return Err(format!("sent {request:?}, got {:?}", response.request));
    }
    match &request.intended_binding_uri {
        Some(uri) if *uri != response.binding_uri => Err(format!("{:?} matched, not {uri:?}", response.binding_uri)),
        _ => Ok(()),
    }
}
