//! What the suite asks to fail, and what it is strict about where the rules of JSON are not.

use serde_json::Value;
use transcoder_conformance::proto::compliance::v1::{ComplianceData, RepeatRequest};

use super::driver::{Bench, Call, Form, body, call_of, compare, echoed};
use crate::support::{call, report};

const UNCHANGED: &str = "the request arrived changed";

/// Names in lower camel case to proto names, in every object.
fn to_proto_names(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            members.iter().map(|(name, value)| (to_proto_name(name), to_proto_names(value))).collect()
        }
        other => other.clone(),
    }
}

fn to_proto_name(name: &str) -> String {
    name.chars().fold(String::new(), |mut out, c| {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
        out
    })
}

#[tokio::test]
async fn a1_query_repeats_the_body() {
    let bench = Bench::new();
    let requests = bench.requests_of("RepeatDataBodyInfo");
    assert_eq!(requests.len(), 7);
    for request in requests {
        let query = call_of("RepeatDataQuery", request, Form::Short).query;
        let repeated = Call { query, ..call_of("RepeatDataBodyInfo", request, Form::Short) };
        let answer = bench.call(&repeated).await;
        assert_eq!(answer.status, 400, "{}", request.name);
        assert!(answer.violation().unwrap().starts_with("info."), "{}", answer.message());
    }
}

#[tokio::test]
async fn a2_body_in_proto_names() {
    let bench = Bench::new();
    let requests = bench.requests_of("RepeatDataBodyInfo");
    assert_eq!(requests.len(), 7);
    for request in requests {
        let mut sent = RepeatRequest { info: request.info.clone(), ..RepeatRequest::default() };
        sent.info.as_mut().unwrap().f_string.push_str(" changed");
        let text = to_proto_names(&body(&sent, Form::Short)["info"]).to_string();
        assert!(text.contains("\"f_string\""), "{text}");
        compare(&sent, &call(&bench.rest, "POST", "/v1beta1/repeat:bodyinfo", Some(&text)).await).unwrap();
    }
}

#[tokio::test]
async fn a3_query_in_proto_names() {
    let bench = Bench::new();
    let requests = bench.requests_of("RepeatDataQuery");
    assert_eq!(requests.len(), 9);
    for request in requests {
        let mut renamed = call_of("RepeatDataQuery", request, Form::Short);
        renamed.query.iter_mut().for_each(|(key, _)| *key = to_proto_name(key));
        compare(request, &bench.call(&renamed).await).unwrap();
    }
    let answer = call(&bench.rest, "GET", "/v1beta1/repeat:query?info_f_string=x", None).await;
    assert_eq!((answer.status.as_u16(), answer.violation().as_deref()), (400, Some("info_f_string")));
}

#[tokio::test]
async fn b_presence_survives() {
    let bench = Bench::new();
    let zero = "Zero values for all fields";
    let basic = "Basic types, no optional fields";
    type Change = fn(&mut ComplianceData);
    let cases: [(&str, &str, Change); 6] = [
        ("B2", zero, |info| info.p_bool = None),
        ("B3", basic, |info| info.p_bool = Some(false)),
        ("B4", zero, |info| info.p_string = None),
        ("B5", basic, |info| info.p_string = Some(String::new())),
        ("B6", zero, |info| info.p_int32 = None),
        ("B7", basic, |info| info.p_int32 = Some(0)),
    ];
    let mut failures = Vec::new();
    let mut expect = async |case: &str, request: &RepeatRequest, text: &str| {
        for rpc in ["RepeatDataBody", "RepeatDataQuery"] {
            let answer = bench.call(&call_of(rpc, request, Form::Short)).await;
            if answer.status != 400 || answer.message() != text {
                failures.push(format!("{case} {rpc}: {} {}", answer.status, answer.message()));
            }
        }
    };
    let renamed = RepeatRequest { name: "modified name".to_owned(), ..bench.request(zero) };
    expect("B1", &renamed, "the suite has no request of this name").await;
    for (case, name, change) in cases {
        let mut request = bench.request(name);
        change(request.info.as_mut().unwrap());
        expect(case, &request, UNCHANGED).await;
    }
    report(failures, 14);
}

#[tokio::test]
async fn enums_of_unknown_number() {
    let bench = Bench::new();
    let known = call(&bench.rest, "GET", "/v1beta1/compliance/enum", None).await.json();
    assert_eq!(known["continent"], "ANTARTICA");
    let unknown = call(&bench.rest, "GET", "/v1beta1/compliance/enum?request.unknownEnum=true", None).await;
    assert_eq!(unknown.status, 400, "the request has no field request");
    let unknown = call(&bench.rest, "GET", "/v1beta1/compliance/enum?unknownEnum=true", None).await.json();
    assert_eq!(unknown["continent"], -4242);
    let verify = async |query: &str| {
        call(&bench.rest, "POST", &format!("/v1beta1/compliance/enum?{query}"), None).await.status.as_u16()
    };
    assert_eq!(verify("continent=-4242&request.unknownEnum=true").await, 200);
    assert_eq!(verify("continent=ANTARTICA").await, 200);
    assert_eq!(verify("continent=-4242").await, 400);
    assert_eq!(verify("continent=3&request.unknownEnum=true").await, 400);
}

#[tokio::test]
async fn other_facts() {
    let bench = Bench::new();
    let status =
        async |method: &str, uri: &str, body: Option<&str>| call(&bench.rest, method, uri, body).await.status.as_u16();
    // Any query key on a rule whose body is the whole message.
    assert_eq!(status("POST", "/v1beta1/repeat:body?name=x", Some("{}")).await, 400);
    // A repeated key on a scalar.
    assert_eq!(status("GET", "/v1beta1/repeat:query?name=x&name=y", None).await, 400);
    assert_eq!(status("GET", "/v1beta1/repeat:query?fInt32=1&f_int32=1", None).await, 400);
    // A bool takes true and false only.
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
    // A raw plus in a path is a plus.
    let answer = call(&bench.rest, "GET", "/v1beta1/repeat/a+b/1/2.5/true/4:simplepath", None).await;
    assert_eq!(echoed(&answer).unwrap().request.unwrap().info.unwrap().f_string, "a+b");
}
