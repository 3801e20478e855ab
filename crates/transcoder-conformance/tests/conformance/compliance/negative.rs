//! Cases that the suite requires to fail, and where it is stricter than the rules of JSON.

use serde_json::Value;
use transcoder_conformance::proto::compliance::v1::{ComplianceData, RepeatRequest};

use super::{
    driver::{Call, Form, body, call_of, compare},
    fixture::fixtures,
};
use crate::support::Tally;

const CHANGED: &str = "the request arrived changed";

/// Converts names in lower camel case to proto names, in every object.
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

/// A query repeats fields of the body.
#[tokio::test]
async fn a1_query_repeats_the_body() {
    let mut tally = Tally::default();
    for fixture in fixtures().await {
        for request in fixture.requests_of("RepeatDataBodyInfo") {
            let query = call_of("RepeatDataQuery", request, Form::Short).unwrap().query;
            let repeated = Call { query, ..call_of("RepeatDataBodyInfo", request, Form::Short).unwrap() };
            let answer = fixture.call(&repeated).await;
            let refused = answer.status == 400 && answer.violation().is_some_and(|field| field.starts_with("info."));
            let why = format!("{}: {} {:?}", answer.status, answer.message(), answer.violation());
            tally.count(&fixture.file, &format!("A1, {:?}", request.name), if refused { Ok(()) } else { Err(why) });
        }
    }
    assert!(tally.cases >= 7);
    tally.finish();
}

/// Proto names in a body are equivalent to JSON names.
#[tokio::test]
async fn a2_body_in_proto_names() {
    let mut tally = Tally::default();
    for fixture in fixtures().await {
        for request in fixture.requests_of("RepeatDataBodyInfo") {
            let mut sent = RepeatRequest { info: request.info.clone(), ..RepeatRequest::default() };
            sent.info.get_or_insert_default().f_string.push_str(" changed");
            let text = to_proto_names(&body(&sent, Form::Short)["info"]).to_string();
            assert!(text.contains("\"f_string\""), "{text}");
            let answer = fixture.send("POST", "/v1beta1/repeat:bodyinfo", Some(&text)).await;
            tally.count(&fixture.file, &format!("A2, {:?}", request.name), compare(&sent, &answer));
        }
    }
    assert!(tally.cases >= 7);
    tally.finish();
}

/// Proto names in a query are equivalent to JSON names.
#[tokio::test]
async fn a3_query_in_proto_names() {
    let mut tally = Tally::default();
    for fixture in fixtures().await {
        for request in fixture.requests_of("RepeatDataQuery") {
            let mut renamed = call_of("RepeatDataQuery", request, Form::Short).unwrap();
            renamed.query.iter_mut().for_each(|(key, _)| *key = to_proto_name(key));
            assert!(renamed.query.iter().any(|(key, _)| key == "server_verify"), "{renamed:?}");
            tally.count(
                &fixture.file,
                &format!("A3, {:?}", request.name),
                compare(request, &fixture.call(&renamed).await),
            );
        }
        let answer = fixture.send("GET", "/v1beta1/repeat:query?info_f_string=x", None).await;
        assert_eq!((answer.status.as_u16(), answer.violation().as_deref()), (400, Some("info_f_string")));
    }
    assert!(tally.cases >= 9);
    tally.finish();
}

const ZERO: &str = "Zero values for all fields";
const BASIC: &str = "Basic types, no optional fields";

type Change = fn(&mut RepeatRequest);

/// The case, the request of the suite that it changes, the change, and the expected error.
const CHANGES: [(&str, &str, Change, &str); 7] = [
    ("B1", ZERO, |request| request.name = "modified name".to_owned(), "the suite has no request of this name"),
    ("B2", ZERO, |request| info(request).p_bool = None, CHANGED),
    ("B3", BASIC, |request| info(request).p_bool = Some(false), CHANGED),
    ("B4", ZERO, |request| info(request).p_string = None, CHANGED),
    ("B5", BASIC, |request| info(request).p_string = Some(String::new()), CHANGED),
    ("B6", ZERO, |request| info(request).p_int32 = None, CHANGED),
    ("B7", BASIC, |request| info(request).p_int32 = Some(0), CHANGED),
];

fn info(request: &mut RepeatRequest) -> &mut ComplianceData {
    request.info.get_or_insert_default()
}

/// The presence of an optional field survives the body and the query.
#[tokio::test]
async fn b_presence_survives() {
    let mut tally = Tally::default();
    for fixture in fixtures().await {
        for (case, name, change, text) in CHANGES {
            // Files that add groups need not have the requests of the published suite.
            let Some(unchanged) = fixture.request(name) else { continue };
            let mut request = unchanged.clone();
            change(&mut request);
            assert!(request != unchanged && request.server_verify, "{case} changes nothing");
            for rpc in ["RepeatDataBody", "RepeatDataQuery"] {
                let answer = fixture.call(&call_of(rpc, &request, Form::Short).unwrap()).await;
                let right = answer.status == 400 && answer.message() == text;
                let why = format!("{} {:?}, want {text:?}", answer.status, answer.message());
                tally.count(&fixture.file, &format!("{case} {rpc}"), if right { Ok(()) } else { Err(why) });
            }
        }
    }
    assert!(tally.cases >= 14);
    tally.finish();
}
